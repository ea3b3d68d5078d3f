"""The record of a run: its data, and the files generated from them. Imports `display`, `system` and `model`."""
