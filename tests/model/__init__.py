"""Tests of `runbook/model`."""
