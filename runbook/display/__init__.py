"""Tables, pictures and the state of each section, for terminals and notebooks.

Imports `operations`, `sections` and what they import.
"""
