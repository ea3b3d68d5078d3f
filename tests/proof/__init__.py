"""Tests of `runbook/proof`."""
