"""The proof of a registry, ours or another, and what was accepted before. Imports `display` and what it imports."""
