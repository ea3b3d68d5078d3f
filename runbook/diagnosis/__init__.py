"""What is wrong: messages that people meet, their causes, the check of each, and the remedy.

Imports `proof` and what it imports.
"""
