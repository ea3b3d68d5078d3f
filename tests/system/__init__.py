"""Tests of what talks to something outside: files, TLS, the registry API, other programs."""
