"""Tests of `runbook/speed`."""
