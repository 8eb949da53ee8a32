"""`.wzp` rasters, with a side file that gives their width."""

import math
from pathlib import Path
from typing import Any

NAME = "wzp"
MODULE = "groundshift.io.wzp"
GIVES = frozenset({"wavelength"})
LOCATION_PIXELS = math.inf
CANNOT = frozenset({"companion"})


def write(folder: Path, scene: Any) -> Path:
    for layer in scene.layers:
        phase = layer.wrapped.copy()
        phase[phase == 0] = 1e-6  # 0 is no data in this format
        phase[~layer.valid] = 0
        prefix = "again_" if layer.copy else ""
        stem = f"{prefix}{phase.shape[1]}_{layer.first:%Y%m%d}-{layer.second:%Y%m%d}"
        phase.astype("<f4").tofile(folder / f"{stem}.wzp")
        lines = [f"width: {phase.shape[1]}", "spacing: 40", f"wavelength: {scene.wavelength!r}"]
        (folder / f"{stem}.txt").write_text("\n".join(lines) + "\n")
    return folder
