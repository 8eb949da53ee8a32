"""How each target moved: local reference, displacement, velocity with its error, behaviour, components of motion."""

from groundshift.timeseries.behaviour import Behaviour, Motion, fit_motion
from groundshift.timeseries.decomposition import Decomposition, decompose_east_up, decompose_slope
from groundshift.timeseries.reference import (
    Reference,
    Sensitivity,
    check_reference,
    choose_references,
    reference_sensitivity,
    reference_series,
)
from groundshift.timeseries.velocity import Velocity, annual_is_determined, fit_velocity

__all__ = [
    "Behaviour",
    "Decomposition",
    "Motion",
    "Reference",
    "Sensitivity",
    "Velocity",
    "annual_is_determined",
    "check_reference",
    "choose_references",
    "decompose_east_up",
    "decompose_slope",
    "fit_motion",
    "fit_velocity",
    "reference_sensitivity",
    "reference_series",
]
