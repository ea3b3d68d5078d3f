"""The functions that notebook cells call, the forms, the JupyterLab server, and notebooks as HTML.

Imports `record`, `diagnosis` and what they import.
"""
