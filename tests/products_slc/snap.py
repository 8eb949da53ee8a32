"""SNAP's BEAM-DIMAP: a reference with one other date in each `.dim`, and one `.dim` with the ground of the pixels."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from tests.products.snap import write_envi
from tests.products_slc.scene import ALL, SlcLayer, SlcScene

NAME = "snap"
MODULE = "groundshift.io.slc_snap"
GIVES = ALL - {"mask"}
# Longitude and latitude are of single precision: half a metre here.
LOCATION_PIXELS = 0.02


def write(folder: Path, scene: SlcScene) -> Path:
    first, *others = scene.layers
    for layer in others:
        stem = f"{first.name}_{layer.name}_stack_deb{'_again' if layer.copy else ''}"
        write_dim(folder, stem, [first, layer], scene)
    if not others:
        write_dim(folder, f"{first.name}_stack_deb", [first], scene)
    lon, lat = scene.lonlat()
    # Newer versions of SNAP begin the name of the latitudes with a blank.
    ground = {" orthorectifiedLat": lat, "orthorectifiedLon": lon, "elevation": scene.heights}
    write_bands(folder, f"{first.name}_ifg_dinsar", ground, metadata("Abstracted_Metadata", first, scene))
    return folder


def write_dim(
    folder: Path, stem: str, layers: Sequence[SlcLayer], scene: SlcScene, roles: tuple[str, str] = ("ref", "sec")
) -> Path:
    """Write one product, the first layer being its reference."""
    rasters: dict[str, np.ndarray] = {}
    for number, layer in enumerate(layers):
        name = f"IW1_VV_{roles[1]}{number}_{layer.day:%d%b%Y}" if number else f"IW1_VV_{roles[0]}_{layer.day:%d%b%Y}"
        with np.errstate(invalid="ignore"):
            image = scene.unflattened(layer)
        rasters[f"i_{name}"], rasters[f"q_{name}"] = image.real, image.imag
    above = {"ref": "Secondary_Metadata", "mst": "Slave_Metadata"}[roles[0]]
    others = "".join(metadata(f"S1A_{layer.name}", layer, scene) for layer in layers[1:])
    text = metadata("Abstracted_Metadata", layers[0], scene) + f'<MDElem name="{above}">\n{others}</MDElem>\n'
    return write_bands(folder, stem, rasters, text)


def write_bands(folder: Path, stem: str, rasters: dict[str, np.ndarray], text: str) -> Path:
    """Write bands of single precision with a header that lists them."""
    data = folder / f"{stem}.data"
    data.mkdir()
    for name, array in rasters.items():
        write_envi(data / f"{name.strip()}.img", array.astype(np.float32), ">")
    files = "".join(
        f'<Data_File><DATA_FILE_PATH href="{stem}.data/{name.strip()}.hdr" /><BAND_INDEX>{i}</BAND_INDEX></Data_File>\n'
        for i, name in enumerate(rasters)
    )
    bands = "".join(
        f"<Spectral_Band_Info><BAND_INDEX>{i}</BAND_INDEX><BAND_NAME>{name}</BAND_NAME>"
        "<NO_DATA_VALUE_USED>false</NO_DATA_VALUE_USED><NO_DATA_VALUE>0.0</NO_DATA_VALUE></Spectral_Band_Info>\n"
        for i, name in enumerate(rasters)
    )
    (folder / f"{stem}.dim").write_text(
        f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<Dimap_Document name="{stem}.dim">\n'
        f"<Data_Access>{files}</Data_Access>\n<Image_Interpretation>{bands}</Image_Interpretation>\n"
        f'<Dataset_Sources><MDElem name="metadata">\n{text}</MDElem></Dataset_Sources>\n</Dimap_Document>\n',
        encoding="iso-8859-1",
    )
    return folder / f"{stem}.dim"


def metadata(name: str, layer: SlcLayer, scene: SlcScene) -> str:
    """One pass: what SNAP says of it, and its state vectors."""
    noon = datetime(layer.day.year, layer.day.month, layer.day.day, 12)
    told = {
        "PASS": "DESCENDING",
        "antenna_pointing": "right",
        "radar_frequency": repr(299_792_458 / scene.wavelength / 1e6),
        "centre_heading": repr(scene.look.heading + 360),
        "incidence_near": repr(scene.look.incidence - 0.3),
        "incidence_far": repr(scene.look.incidence + 0.3),
        "first_line_time": stamp(noon),
        "slant_range_to_first_pixel": "849900.0",
        "range_spacing": "2.329562",
    }
    arc = scene.orbit(layer)
    vectors = ""
    for i, (time, position, velocity) in enumerate(zip(arc.times, arc.positions, arc.velocities, strict=True), 1):
        state = {f"{axis}_pos": repr(float(v)) for axis, v in zip("xyz", position, strict=True)}
        state |= {f"{axis}_vel": repr(float(v)) for axis, v in zip("xyz", velocity, strict=True)}
        state = {"time": stamp(noon + timedelta(seconds=float(time)))} | state
        vectors += f'<MDElem name="orbit_vector{i}">{attributes(state)}</MDElem>\n'
    return (
        f'<MDElem name="{name}">\n{attributes(told)}<MDElem name="Orbit_State_Vectors">{vectors}</MDElem>\n</MDElem>\n'
    )


def stamp(time: datetime) -> str:
    return f"{time:%d-%b-%Y %H:%M:%S.%f}".upper()


def attributes(told: dict[str, str]) -> str:
    return "".join(f'<MDATTR name="{name}" type="ascii" mode="rw">{value}</MDATTR>\n' for name, value in told.items())
