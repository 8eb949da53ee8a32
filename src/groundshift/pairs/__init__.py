"""Networks of pairs: short baselines, connectivity, what each date contributes, and the weights that follow from it."""

from groundshift.pairs.network import (
    DateCoefficients,
    DateGap,
    DateGraph,
    DateGroup,
    date_coefficients,
    date_graph,
    incidence_matrix,
    require_connected,
)
from groundshift.pairs.select import PairMode, optimal_weights, select_pairs

__all__ = [
    "DateCoefficients",
    "DateGap",
    "DateGraph",
    "DateGroup",
    "PairMode",
    "date_coefficients",
    "date_graph",
    "incidence_matrix",
    "optimal_weights",
    "require_connected",
    "select_pairs",
]
