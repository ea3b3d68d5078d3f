"""Tests of `runbook/system/docker`."""
