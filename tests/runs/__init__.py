"""Tests of `runbook/runs`."""
