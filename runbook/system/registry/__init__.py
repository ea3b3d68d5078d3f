"""A registry: its API, configuration, storage, and the Docker client that uses it.

Imports the rooms before it in `system`.
"""
