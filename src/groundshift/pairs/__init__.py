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
from groundshift.pairs.select import PairMode, half_year, local_weights, optimal_weights, select_pairs

__all__ = [
    "DateCoefficients",
    "DateGap",
    "DateGraph",
    "DateGroup",
    "PairMode",
    "date_coefficients",
    "date_graph",
    "half_year",
    "incidence_matrix",
    "local_weights",
    "optimal_weights",
    "require_connected",
    "select_pairs",
]
