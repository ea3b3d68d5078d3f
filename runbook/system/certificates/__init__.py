"""Certificates: made, read, judged, and those that the user supplies. Imports `model` and `system.host`."""
