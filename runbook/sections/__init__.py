"""The desired states, one module per notebook: gather facts, plan changes, check from outside.

Imports `changes` and what it imports.
"""
