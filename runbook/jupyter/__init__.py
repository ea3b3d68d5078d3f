"""What the cells of notebooks call, the forms, the server of JupyterLab, and notebooks as HTML.

Imports `diagnosis` and what it imports.
"""
