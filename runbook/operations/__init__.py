"""What is done to a registry on request: the client kit, the timer, the tear-down.

Imports `changes` and what it imports.
"""
