"""A registry: its API, configuration, storage, and the Docker client that asks it.

Imports what stands before it in `system`.
"""
