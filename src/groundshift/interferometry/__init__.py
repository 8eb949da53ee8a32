"""Interferograms from co-registered single-look images: forming, coherence, and filters of single interferograms."""

from groundshift.interferometry.along_fringes import Filtered, filter_along_fringes
from groundshift.interferometry.coherence import (
    correct_coherence,
    expected_coherence,
    independent_looks,
    unbiased_coherence,
)
from groundshift.interferometry.filters import goldstein, remove_large_scale
from groundshift.interferometry.forming import form, remove_path

__all__ = [
    "Filtered",
    "correct_coherence",
    "expected_coherence",
    "filter_along_fringes",
    "form",
    "goldstein",
    "independent_looks",
    "remove_large_scale",
    "remove_path",
    "unbiased_coherence",
]
