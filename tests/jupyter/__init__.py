"""Tests of `runbook/jupyter`."""
