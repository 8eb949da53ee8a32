"""HyP3 burst products: a folder for each pair with wrapped phase, correlation, look vectors, heights and text."""

import math

import numpy as np
import rasterio

NAME = "hyp3"
MODULE = "groundshift.io.hyp3"
CRS = "EPSG:32648"


def write(folder, scene):
    for layer in scene.layers:
        stem = f"S1_136231_IW2_{layer.name}_VV_INT40_{'12E3' if layer.copy == 0 else '99AB'}"
        write_product(folder / stem, stem, scene, layer, wrapped=True)
    return folder


def write_product(folder, stem, scene, layer, *, wrapped):
    """Write the rasters and the text of one pair, float32 with 0 for no data as HyP3 does."""
    folder.mkdir(exist_ok=True)
    shape = layer.grid.shape
    east, north, up = scene.look.to_satellite
    heights = np.zeros(shape, np.float32)
    rows, columns = (min(a, b) for a, b in zip(shape, scene.heights.shape, strict=True))
    heights[:rows, :columns] = scene.heights[:rows, :columns]
    for name, array in {
        "wrapped_phase" if wrapped else "unw_phase": np.where(
            layer.valid, layer.wrapped if wrapped else layer.unwrapped, 0
        ),
        "corr": np.where(layer.valid, layer.coherence, 0),
        "dem": heights,
        "lv_theta": np.full(shape, math.asin(up)),
        "lv_phi": np.full(shape, math.atan2(north, east)),
    }.items():
        write_tif(folder / f"{stem}_{name}.tif", array.astype(np.float32), layer.grid, nodata=0)
    (folder / f"{stem}.txt").write_text(
        f"Reference Granule: S1_136231_IW2_{layer.first:%Y%m%d}T022312_VV_7C85-BURST\n"
        f"Secondary Granule: S1_136231_IW2_{layer.second:%Y%m%d}T022313_VV_5D11-BURST\n"
        "Reference Pass Direction: DESCENDING\n"
        "Reference Orbit Number: 32861\n"
        f"Baseline: {layer.baseline}\n"
        "UTC time: 8592.94\n"
        f"Heading: {scene.look.heading}\n"
        "Spacecraft height: 693000.0\n"
        "Earth radius at nadir: 6337286.638938101\n"
        "Slant range center: 846099.14\n"
    )


def write_tif(path, array, grid, **options):
    """Write one band, tiled and compressed."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=array.shape[0],
        width=array.shape[1],
        dtype=array.dtype,
        crs=grid.crs,
        transform=grid.transform,
        compress="lzw",
        tiled=True,
        blockxsize=16,
        blockysize=16,
        **options,
    ) as sink:
        sink.write(array, 1)
