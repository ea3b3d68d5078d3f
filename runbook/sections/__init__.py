"""One module for each notebook: gather facts, plan changes from them, check from outside."""
