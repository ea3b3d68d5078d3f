"""Tests of `runbook/record`."""
