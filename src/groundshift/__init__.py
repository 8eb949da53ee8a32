"""Groundshift finds ground that moves by itself in stacks of radar interferograms."""

__version__ = "0.1.0"
