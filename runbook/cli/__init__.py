"""The program `registry-runbook`: commands, completion, and what a terminal shows. Imports every other room."""
