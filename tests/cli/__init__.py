"""Tests of `runbook/cli`."""
