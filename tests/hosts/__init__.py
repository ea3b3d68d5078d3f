"""Real hosts for the tests, and the tests that need one."""
