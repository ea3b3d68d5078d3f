"""What only saves time, each trick with the milliseconds that it saves: without it every command does the same, later.

Imports `jupyter` and what it imports; `startup.begin` is its door for commands, `kernels.one_after_another` for runs.
"""
