"""The proof of a registry, ours or another, and the accepted baseline. Imports `display` and what it imports."""
