"""Tests of `runbook/system/registry`."""
