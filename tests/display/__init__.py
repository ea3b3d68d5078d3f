"""Tests of `runbook/display`."""
