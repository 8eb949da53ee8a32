"""ISCE2 topsStack: merged single-look images at full resolution, flattened, with the geometry before the looks."""

from pathlib import Path

import numpy as np
from tests.products.isce import write_rdr
from tests.products_slc.scene import SlcScene

NAME = "isce"
MODULE = "groundshift.io.slc_isce"
# There is one folder for each date.
CANNOT = frozenset({"doubled"})


def write(folder: Path, scene: SlcScene) -> Path:
    merged = folder / "merged"
    for layer in scene.layers:
        place = merged / "SLC" / layer.name
        place.mkdir(parents=True)
        write_rdr(place / f"{layer.name}.slc.full", layer.image[np.newaxis])
    first = scene.layers[0]
    for layer in scene.layers[1:]:
        name = f"{first.name}_{layer.name}"
        place = folder / "baselines" / name
        place.mkdir(parents=True)
        text = "".join(
            f"swath: IW{n}\nBperp (average): {layer.baseline + d}\nBpar (average): 1.0\n" for n, d in ((1, 1), (2, -1))
        )
        (place / f"{name}.txt").write_text(text)
    write_geometry(merged / "geom_reference", scene)
    (folder / "reference").mkdir(parents=True)
    (folder / "reference" / "IW1.xml").write_text(
        '<productmanager_name>\n<component name="instance"><component name="bursts"><component name="burst1">\n'
        f'<property name="radarwavelength"><value>{scene.wavelength!r}</value></property>\n'
        "</component></component></component>\n</productmanager_name>\n"
    )
    return folder


def write_geometry(folder: Path, scene: SlcScene, end: str = ".rdr.full") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lon, lat = scene.lonlat()
    east, north, _ = scene.look.to_satellite
    los = np.stack([np.full(lat.shape, scene.look.incidence), np.full(lat.shape, np.degrees(np.arctan2(-east, north)))])
    shadow = np.where(scene.usable, 0, 2).astype(np.uint8)
    shadow[28, 4] = np.where(scene.usable[28, 4], 0, 1)
    rasters = {"lat": lat[None], "lon": lon[None], "hgt": scene.heights.astype(np.float64)[None]}
    rasters |= {"los": los.astype(np.float32), "shadowMask": shadow[None]}
    for name, bands in rasters.items():
        write_rdr(folder / f"{name}{end}", bands)
