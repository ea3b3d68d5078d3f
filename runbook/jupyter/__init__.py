"""The functions that notebook cells call, the forms, the JupyterLab server, and notebooks as HTML.

Imports `diagnosis` and what it imports.
"""
