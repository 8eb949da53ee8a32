"""Readers of interferogram products, rasters, and files that appear whole or not at all."""

from groundshift.io.recognise import open_stack
from groundshift.io.stack import InterferogramStack, Problem

__all__ = ["InterferogramStack", "Problem", "open_stack"]
