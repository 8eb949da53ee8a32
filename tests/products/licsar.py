"""A LiCSAR frame: folders of pairs, 8-bit coherence, metadata beside them."""

import numpy as np
import rasterio

NAME = "licsar"
MODULE = "groundshift.io.licsar"
FRAME = "135D_05886_131313"


def write(folder, scene):
    frame = folder / FRAME
    metadata = frame / "metadata"
    metadata.mkdir(parents=True)
    for layer in scene.layers:
        place = frame / ("interferograms" if layer.copy == 0 else "GEOC") / layer.name
        place.mkdir(parents=True)
        phase = np.where(layer.valid, layer.wrapped, 0).astype(np.float32)
        coherence = np.round(255 * np.where(layer.valid, layer.coherence, 0)).astype(np.uint8)
        write_tif(place / f"{layer.name}.geo.diff_pha.tif", phase, layer.grid, nodata=0)
        write_tif(place / f"{layer.name}.geo.cc.tif", coherence, layer.grid, nodata=0)
    for name, value in zip("ENU", scene.look.to_satellite, strict=True):
        vector = np.full(scene.grid.shape, value, np.float32)
        write_tif(metadata / f"{FRAME}.geo.{name}.tif", vector, scene.grid)
    write_tif(metadata / f"{FRAME}.geo.hgt.tif", scene.heights, scene.grid)
    # Each date against the first: the baseline of a pair is the difference.
    (metadata / "baselines").write_text(
        "20180702 20180714 35.5 12.0\n"
        "20180702 20180726 -20.25 24.0\n"
        "20180702 20180831 10.0 60.0\n"
        "20180702 20181006 90.0 96.0\n"
    )
    (metadata / "metadata.txt").write_text("master=20180702\nheading=-169.8\navg_incidence_angle=37.3\n")
    return frame


def write_tif(path, array, grid, **options):
    """Write one band in strips."""
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
        compress="deflate",
        **options,
    ) as sink:
        sink.write(array, 1)
