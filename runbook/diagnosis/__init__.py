"""Diagnosis: known messages, their causes, a check for each cause, and its remedy.

Imports `proof` and what it imports.
"""
