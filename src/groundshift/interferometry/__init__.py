"""Interferograms from co-registered single-look images: forming, coherence, and filters of single interferograms."""

from groundshift.interferometry.coherence import (
    correct_coherence,
    expected_coherence,
    independent_looks,
    unbiased_coherence,
)
from groundshift.interferometry.filters import goldstein, remove_large_scale
from groundshift.interferometry.forming import form, remove_path

__all__ = [
    "correct_coherence",
    "expected_coherence",
    "form",
    "goldstein",
    "independent_looks",
    "remove_large_scale",
    "remove_path",
    "unbiased_coherence",
]
