"""One module for each notebook of a state: gather facts, plan changes, check from outside.

Imports `changes` and what it imports.
"""
