"""The record of a run or of a walk in JupyterLab: its data, and the files generated from them.

Imports `display` and what it imports.
"""
