"""The command line: one module a command, with its arguments and what it runs."""
