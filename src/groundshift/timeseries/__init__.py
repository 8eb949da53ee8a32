"""How each target moved: local reference, displacement, velocity with its error, behaviour, components of motion."""

from groundshift.timeseries.behaviour import Behaviour, Motion, fit_motion
from groundshift.timeseries.decomposition import Decomposition, decompose_east_up, decompose_slope
from groundshift.timeseries.inversion import DateCovariance, Inverted, covariance_of, invert_network, phase_weights
from groundshift.timeseries.reference import (
    Reference,
    Sensitivity,
    check_reference,
    choose_references,
    reference_sensitivity,
    reference_series,
)
from groundshift.timeseries.stages import Event, Knot, Stages, fit_stages
from groundshift.timeseries.terms import (
    InseparableTermError,
    StratifiedDelay,
    date_baselines,
    dem_per_metre,
    remove_stratified_delay,
)
from groundshift.timeseries.velocity import Velocity, annual_is_determined, fit_velocity

__all__ = [
    "Behaviour",
    "DateCovariance",
    "Decomposition",
    "Event",
    "InseparableTermError",
    "Inverted",
    "Knot",
    "Motion",
    "Reference",
    "Sensitivity",
    "Stages",
    "StratifiedDelay",
    "Velocity",
    "annual_is_determined",
    "check_reference",
    "choose_references",
    "covariance_of",
    "date_baselines",
    "decompose_east_up",
    "decompose_slope",
    "dem_per_metre",
    "fit_motion",
    "fit_stages",
    "fit_velocity",
    "invert_network",
    "phase_weights",
    "reference_sensitivity",
    "reference_series",
    "remove_stratified_delay",
]
