"""Notebooks run headless: the kernels, and in `record` what a run leaves. Imports `jupyter` and what it imports."""
