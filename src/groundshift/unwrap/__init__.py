"""Phase unwrapping behind one protocol, of single images and of all pairs of a patch, and its check by closure."""

from groundshift.unwrap.closure import ClosureCheck, TripletBias, check_closure, triplets
from groundshift.unwrap.coarse import average_igram, unwrap_averaged
from groundshift.unwrap.congruent import congruent
from groundshift.unwrap.guided import Foresight, Guided
from groundshift.unwrap.patch import PatchPhase, unwrap_patch
from groundshift.unwrap.residues import residues
from groundshift.unwrap.unwrapper import (
    UNWRAPPERS,
    Snaphu,
    Unwrapped,
    Unwrapper,
    UnwrappingError,
    Whirlwind,
    choose_unwrapper,
)

__all__ = [
    "UNWRAPPERS",
    "ClosureCheck",
    "Foresight",
    "Guided",
    "PatchPhase",
    "Snaphu",
    "TripletBias",
    "Unwrapped",
    "Unwrapper",
    "UnwrappingError",
    "Whirlwind",
    "average_igram",
    "check_closure",
    "choose_unwrapper",
    "congruent",
    "residues",
    "triplets",
    "unwrap_averaged",
    "unwrap_patch",
]
