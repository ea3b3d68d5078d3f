"""What is done to a registry that runs, beside the states of the sections. Imports `changes` and `outside`."""
