"""Pure data: parameters and the types of their values, results, errors. Imports nothing of the runbook."""
