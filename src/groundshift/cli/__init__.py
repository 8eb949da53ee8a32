"""The command line: commands over workflows, nothing else."""

from groundshift.cli.entry import app, main

__all__ = ["app", "main"]
