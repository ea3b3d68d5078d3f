"""Tests of `runbook/runs/record`."""
