"""The inventory: detections merged into targets with identities that last, and the files that hold them.

Density maps are in `groundshift.inventory.density`, a name that a function of the package would hide.
"""

from groundshift.inventory.geopackage import read_events, read_inventory, read_runs, read_series, write_inventory
from groundshift.inventory.identity import carry_identity, is_current
from groundshift.inventory.kmz import Overlay, write_kmz
from groundshift.inventory.merge import merge_detections
from groundshift.inventory.model import Behaviour, Kind, Review, Run, Target, TargetEvent, TargetSeries
from groundshift.inventory.sample import precision_interval, read_verdicts, verification_sample, write_sample
from groundshift.inventory.targets import geodesic_area_m2, make_targets

__all__ = [
    "Behaviour",
    "Kind",
    "Overlay",
    "Review",
    "Run",
    "Target",
    "TargetEvent",
    "TargetSeries",
    "carry_identity",
    "geodesic_area_m2",
    "is_current",
    "make_targets",
    "merge_detections",
    "precision_interval",
    "read_events",
    "read_inventory",
    "read_runs",
    "read_series",
    "read_verdicts",
    "verification_sample",
    "write_inventory",
    "write_kmz",
    "write_sample",
]
