"""Readers of interferograms and single-look images, rasters, and files that appear whole or not at all."""

from groundshift.io.open_slcs import SLC_READERS, holds_slcs, open_slcs
from groundshift.io.recognise import holds_interferograms, open_stack
from groundshift.io.slc import SlcStack
from groundshift.io.stack import InterferogramStack, Problem

__all__ = [
    "SLC_READERS",
    "InterferogramStack",
    "Problem",
    "SlcStack",
    "holds_interferograms",
    "holds_slcs",
    "open_slcs",
    "open_stack",
]
