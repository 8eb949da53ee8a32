"""ISCE2 topsStack: merged interferograms with geometry, baselines against the first date, and the reference."""

from pathlib import Path
from typing import Any

import numpy as np

NAME = "isce"
MODULE = "groundshift.io.isce"
CANNOT = frozenset({"doubled"})

LOOKS = (3, 9)

_TYPES = {"complex64": "CFLOAT", "float32": "FLOAT", "float64": "DOUBLE", "uint8": "BYTE"}


def write(folder: Path, scene: Any) -> Path:
    merged = folder / "merged"
    start = min(min(layer.first, layer.second) for layer in scene.layers)
    # Each date's own baseline: the three pairs of the first three dates close, the last pair stands alone.
    for layer in scene.layers:
        pair = merged / "interferograms" / layer.name
        pair.mkdir(parents=True)
        # topsStack's interferogram carries an amplitude; the phasor here has one of 3.
        with np.errstate(invalid="ignore"):
            igram = np.where(layer.valid, 3 * np.exp(1j * layer.unwrapped), 0).astype(np.complex64)
        write_rdr(pair / "filt_fine.int", igram[np.newaxis])
        write_rdr(pair / "filt_fine.cor", np.where(layer.valid, layer.coherence, 0).astype(np.float32)[np.newaxis])
        write_rdr(pair / "filt_fine.unw.conncomp", np.zeros((1, *layer.grid.shape), np.uint8))
    # The file of pair 1 against 2 is their difference; topsStack writes baselines against one reference date.
    for layer in scene.layers:
        if layer.first == start or layer is scene.layers[-1]:
            name = f"{layer.first:%Y%m%d}_{layer.second:%Y%m%d}"
            place = folder / "baselines" / name
            place.mkdir(parents=True)
            lines = [
                f"swath: IW{n}\nBperp (average): {layer.baseline + d}\nBpar (average): 1.0\n"
                for n, d in ((1, 1), (2, -1))
            ]
            (place / f"{name}.txt").write_text("".join(lines))
    write_geometry(merged / "geom_reference", scene)
    (folder / "reference").mkdir()
    (folder / "reference" / "IW1.xml").write_text(
        '<productmanager_name>\n<component name="instance"><component name="bursts"><component name="burst1">\n'
        f'<property name="radarwavelength"><value>{scene.wavelength!r}</value></property>\n'
        '<property name="azimuthtimeinterval"><value>0.002055556299999998</value></property>\n'
        '<property name="rangepixelsize"><value>2.329562114715323</value></property>\n'
        "</component></component></component>\n</productmanager_name>\n"
    )
    return folder


def write_geometry(folder: Path, scene: Any) -> None:
    folder.mkdir()
    lon, lat = scene.lonlat()
    east, north, _ = scene.look.to_satellite
    azimuth = np.degrees(np.arctan2(-east, north))
    write_rdr(folder / "lat.rdr", lat[np.newaxis])
    write_rdr(folder / "lon.rdr", lon[np.newaxis])
    write_rdr(folder / "hgt.rdr", scene.heights.astype(np.float64)[np.newaxis])
    los = np.stack([np.full(lat.shape, scene.look.incidence), np.full(lat.shape, azimuth)]).astype(np.float32)
    write_rdr(folder / "los.rdr", los)
    # Of the rasters before the looks only the header is kept.
    full = np.zeros((1, 1, 1), np.float64)
    shape = (lat.shape[0] * LOOKS[0] + 1, lat.shape[1] * LOOKS[1] + 4)
    write_rdr(folder / "hgt.rdr.full", full, shape)


def write_rdr(path: Path, bands: np.ndarray, shape: tuple[int, int] | None = None) -> None:
    """Write (band, y, x) line by line (BIL), with the header of ISCE2."""
    length, width = shape or bands.shape[1:]
    if shape is None:
        np.ascontiguousarray(bands.transpose(1, 0, 2)).tofile(path)
    told = {
        "byte_order": "l",
        "data_type": _TYPES[bands.dtype.name],
        "file_name": str(path),
        "length": length,
        "number_bands": bands.shape[0],
        "scheme": "BIL",
        "width": width,
    }
    properties = "".join(f'<property name="{n}"><value>{v}</value><doc>x</doc></property>\n' for n, v in told.items())
    coordinate = '<component name="coordinate1"><property name="size"><value>7</value></property></component>\n'
    path.with_name(path.name + ".xml").write_text(f"<imageFile>\n{coordinate}{properties}</imageFile>\n")
