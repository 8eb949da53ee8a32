"""HyP3 scene products (GAMMA): all files in one folder, times in the names, unwrapped phase."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("products_hyp3_writer", Path(__file__).with_name("hyp3.py"))
_hyp3 = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_hyp3)

NAME = "hyp3"
MODULE = "groundshift.io.hyp3"
CRS = "EPSG:32648"


def write(folder, scene):
    for layer in scene.layers:
        dates = f"{layer.first:%Y%m%d}T112312_{layer.second:%Y%m%d}T112313"
        stem = f"S1AA_{dates}_VVP012_INT80_G_ueF_{'74C2' if layer.copy == 0 else 'B00B'}"
        _hyp3.write_product(folder, stem, scene, layer, "unw_phase", layer.unwrapped)
    return folder
