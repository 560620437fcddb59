"""The command line: one module a command, with its arguments and what it runs.

What takes seconds to import, as PyTorch does, is imported in ``run``: ``--help`` answers at once.
"""
