"""What a run leaves: its data, and the files that are made of them. Imports `display`, `system` and `model`."""
