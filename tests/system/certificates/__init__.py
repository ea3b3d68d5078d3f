"""Tests of `runbook/system/certificates`."""
