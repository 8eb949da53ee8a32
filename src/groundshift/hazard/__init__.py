"""What a series means: stages of creep, when a slope may fail, what rain does to it."""

from groundshift.hazard.creep import (
    Alert,
    CreepStages,
    Phase,
    Stage,
    TargetSeries,
    alerts,
    creep_stages,
    speed_up,
)
from groundshift.hazard.failure import FailureWindow, failure_window
from groundshift.hazard.figure import hazard_figure
from groundshift.hazard.forcing import Forcing, moisture_forcing
from groundshift.hazard.rain import LagResult, rain_lag
from groundshift.hazard.rain_files import RainFileError, read_rain

__all__ = [
    "Alert",
    "CreepStages",
    "FailureWindow",
    "Forcing",
    "LagResult",
    "Phase",
    "RainFileError",
    "Stage",
    "TargetSeries",
    "alerts",
    "creep_stages",
    "failure_window",
    "hazard_figure",
    "moisture_forcing",
    "rain_lag",
    "read_rain",
    "speed_up",
]
