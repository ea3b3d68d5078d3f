"""Notebooks run headless: the runner, and in `record` what a run leaves. Imports `speed` and what it imports."""
