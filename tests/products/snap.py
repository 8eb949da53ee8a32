"""SNAP's BEAM-DIMAP in radar geometry: one `.dim` for each pair, big-endian rasters, tie points every ten pixels."""

from pathlib import Path
from typing import Any

import numpy as np

NAME = "snap"
MODULE = "groundshift.io.snap"

_ENVI = {"float32": 4, "uint8": 1, "int16": 2}


def write(folder: Path, scene: Any) -> Path:
    for layer in scene.layers:
        stem = f"{layer.first:%Y%m%d}_{layer.second:%Y%m%d}_ifg_deb_flt{'_again' if layer.copy else ''}"
        write_dim(folder, stem, [layer], scene)
    return folder


def write_dim(folder: Path, stem: str, layers: list[Any], scene: Any, **how: Any) -> Path:
    """Write one product; `geocoded` puts it on the map, `order` is the byte order, `unwrapped` leaves i and q out."""
    geocoded, order = how.get("geocoded", False), how.get("order", ">")
    data = folder / f"{stem}.data"
    data.mkdir()
    shape = layers[0].grid.shape
    rasters: dict[str, np.ndarray] = {}
    virtual = []
    for layer in layers:
        name = f"VV_{layer.first:%d%b%Y}_{layer.second:%d%b%Y}"
        # SNAP's interferogram carries the product of the two amplitudes, 400 here.
        with np.errstate(invalid="ignore"):
            igram = np.where(layer.valid, 400 * np.exp(1j * layer.unwrapped), 0)
        if how.get("unwrapped", False):
            rasters[f"Unw_Phase_ifg_{name}"] = np.where(layer.valid, layer.unwrapped, 0)
        else:
            rasters[f"i_ifg_{name}"], rasters[f"q_ifg_{name}"] = igram.real, igram.imag
            virtual.append(f"Phase_ifg_{name}")
        if how.get("coherence", True):
            rasters[f"coh_{name}"] = np.where(layer.valid, layer.coherence, 0)
    rasters["elevation"] = scene.heights if scene.heights.shape == shape else np.zeros(shape)
    lon, lat = _corners(layers[0].grid)
    ties = {"latitude": lat, "longitude": lon, "incident_angle": np.full(lat.shape, scene.look.incidence)}
    for name, array in rasters.items():
        write_envi(data / f"{name}.img", array.astype(np.float32), order)
    (data / "tie_point_grids").mkdir()
    for name, array in ties.items():
        write_envi(data / "tie_point_grids" / f"{name}.img", array.astype(np.float32), ">")
    text = _header(stem, shape, list(rasters), virtual, ties)
    text = text.replace("@PLACE@", _place(layers[0].grid) if geocoded else "")
    text = text.replace("@METADATA@", _metadata(layers, scene))
    (folder / f"{stem}.dim").write_text(text, encoding="iso-8859-1")
    return folder / f"{stem}.dim"


def write_envi(image: Path, array: np.ndarray, order: str, interleave: str = "bsq", **fields: Any) -> None:
    """Write (y, x) or (band, y, x) with an ENVI header."""
    cube = array[np.newaxis] if array.ndim == 2 else array
    axes = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}[interleave]
    cube.transpose(axes).astype(cube.dtype.newbyteorder(order)).tofile(image)
    told = {
        "samples": cube.shape[2],
        "lines": cube.shape[1],
        "bands": cube.shape[0],
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": _ENVI[array.dtype.name],
        "interleave": interleave,
        "byte order": 1 if order == ">" else 0,
        "band names": f"{{\n {image.stem} }}",
        **fields,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in told.items())
    image.with_suffix(".hdr").write_text(f"ENVI\ndescription = {{x - Unit: phase}}\n{lines}")


def _corners(grid: Any) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude at every tenth pixel corner, the first being the outer corner of the first pixel."""
    y, x = (np.arange(0, n + 10, 10) - 0.5 for n in grid.shape)
    return grid.lonlat(*np.meshgrid(y, x, indexing="ij"))


def _place(grid: Any) -> str:
    from pyproj import CRS

    t = grid.transform
    numbers = ",".join(repr(float(v)) for v in (t.a, t.d, t.b, t.e, t.c, t.f))
    wkt = CRS.from_user_input(grid.crs).to_wkt("WKT1_GDAL", pretty=True)
    return (
        f"<Coordinate_Reference_System><WKT>\n{wkt}\n</WKT></Coordinate_Reference_System>\n"
        f"<Geoposition><IMAGE_TO_MODEL_TRANSFORM>{numbers}</IMAGE_TO_MODEL_TRANSFORM></Geoposition>\n"
    )


def _metadata(layers: list[Any], scene: Any) -> str:
    megahertz = 299_792_458 / scene.wavelength / 1e6
    told = {
        "PASS": "DESCENDING",
        "antenna_pointing": "right",
        "radar_frequency": repr(megahertz),
        "centre_heading": repr(scene.look.heading + 360),
        "incidence_near": "99999.0",
        "range_spacing": "2.329562",
        "azimuth_spacing": "13.94",
    }
    attributes = "".join(f'<MDATTR name="{n}" type="ascii" mode="rw">{v}</MDATTR>\n' for n, v in told.items())
    pairs = ""
    for layer in layers:
        one, two = f"{layer.first:%d%b%Y}", f"{layer.second:%d%b%Y}"
        for ref, sec, sign in ((one, two, 1), (two, one, -1)):
            pairs += f'<MDElem name="Ref_{ref}"><MDElem name="Secondary_{sec}">\n'
            pairs += f'<MDATTR name="Perp Baseline" type="float64">{sign * layer.baseline}</MDATTR></MDElem></MDElem>\n'
    return (
        '<Dataset_Sources><MDElem name="metadata"><MDElem name="Abstracted_Metadata">\n'
        f'{attributes}<MDElem name="Baselines">{pairs}</MDElem>\n</MDElem></MDElem></Dataset_Sources>\n'
    )


def _header(
    stem: str, shape: tuple[int, int], names: list[str], virtual: list[str], ties: dict[str, np.ndarray]
) -> str:
    tie_shape = next(iter(ties.values())).shape
    files = "".join(
        f'<Data_File><DATA_FILE_PATH href="{stem}.data/{name}.hdr" /><BAND_INDEX>{i}</BAND_INDEX></Data_File>\n'
        for i, name in enumerate(names)
    )
    tie_files = "".join(
        f'<Tie_Point_Grid_File><TIE_POINT_GRID_FILE_PATH href="{stem}.data/tie_point_grids/{name}.hdr" />'
        f"<TIE_POINT_GRID_INDEX>{i}</TIE_POINT_GRID_INDEX></Tie_Point_Grid_File>\n"
        for i, name in enumerate(ties)
    )
    tie_infos = "".join(
        f"<Tie_Point_Grid_Info><TIE_POINT_GRID_INDEX>{i}</TIE_POINT_GRID_INDEX>"
        f"<TIE_POINT_GRID_NAME>{name}</TIE_POINT_GRID_NAME><NCOLS>{tie_shape[1]}</NCOLS><NROWS>{tie_shape[0]}</NROWS>"
        "<OFFSET_X>0.0</OFFSET_X><OFFSET_Y>0.0</OFFSET_Y><STEP_X>10.0</STEP_X><STEP_Y>10.0</STEP_Y>"
        "</Tie_Point_Grid_Info>\n"
        for i, name in enumerate(ties)
    )
    bands = "".join(
        f"<Spectral_Band_Info><BAND_INDEX>{i}</BAND_INDEX><BAND_NAME>{name}</BAND_NAME><DATA_TYPE>float32</DATA_TYPE>"
        "<NO_DATA_VALUE_USED>true</NO_DATA_VALUE_USED><NO_DATA_VALUE>0.0</NO_DATA_VALUE>"
        f"{'<VIRTUAL_BAND>true</VIRTUAL_BAND>' if name in virtual else ''}</Spectral_Band_Info>\n"
        for i, name in enumerate([*names, *virtual])
    )
    return (
        f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<Dimap_Document name="{stem}.dim">\n'
        '<Metadata_Id><METADATA_FORMAT version="2.12.1">DIMAP</METADATA_FORMAT></Metadata_Id>\n@PLACE@'
        f"<Raster_Dimensions><NCOLS>{shape[1]}</NCOLS><NROWS>{shape[0]}</NROWS></Raster_Dimensions>\n"
        f"<Data_Access>{files}{tie_files}</Data_Access>\n<Tie_Point_Grids>{tie_infos}</Tie_Point_Grids>\n"
        f"<Image_Interpretation>{bands}</Image_Interpretation>\n@METADATA@</Dimap_Document>\n"
    )
