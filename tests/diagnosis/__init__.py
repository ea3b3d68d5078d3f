"""Tests of what talks to something diagnosis: files, TLS, the registry API, other programs."""
