"""Notebooks run headless: the runner. Imports `speed`, `record` and what they import."""
