"""Tests of `runbook/system/host`."""
