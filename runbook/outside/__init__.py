"""One module for each thing outside that the runbook talks to."""
