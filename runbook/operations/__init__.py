"""Actions on a registry: the client kit, the timer, the tear-down.

Imports `changes` and what it imports.
"""
