"""GAMMA: resampled images with the state vectors of each, and the lookup table of the images from a finer map."""

from pathlib import Path

import numpy as np
from tests.products_slc.scene import ALL, SlcLayer, SlcScene

NAME = "gamma"
MODULE = "groundshift.io.slc_gamma"
GIVES = ALL - {"mask"}
LOCATION_PIXELS = 0.02

NOON = 43_200.0
"""Seconds of the day at zero Doppler of the scene's centre."""


def write(folder: Path, scene: SlcScene) -> Path:
    for layer in scene.layers:
        # The second file of a date lies in a folder of its own.
        place = folder / "rslc" / layer.name if layer.copy else folder / "rslc"
        place.mkdir(parents=True, exist_ok=True)
        with np.errstate(invalid="ignore"):
            scene.unflattened(layer).astype(">c8").tofile(place / f"{layer.name}.rslc")
        write_par(place / f"{layer.name}.rslc.par", scene, layer)
    (folder / "geo").mkdir(exist_ok=True)
    write_map(folder / "geo", scene)
    return folder


def write_par(path: Path, scene: SlcScene, layer: SlcLayer, image_format: str = "FCOMPLEX") -> None:
    arc = scene.orbit(layer)
    vectors = "".join(
        f"state_vector_position_{i}: {x:16.4f} {y:16.4f} {z:16.4f}   m   m   m\n"
        f"state_vector_velocity_{i}: {u:16.5f} {v:16.5f} {w:16.5f}   m/s m/s m/s\n"
        for i, ((x, y, z), (u, v, w)) in enumerate(zip(arc.positions, arc.velocities, strict=True), 1)
    )
    path.write_text(
        "Gamma Interferometric SAR Processor (ISP) - Image Parameter File\n\n"
        "title:     scene\n"
        f"date:      {layer.day:%Y %m %d}\n"
        f"start_time:             {NOON - 0.05:.6f}   s\n"
        "azimuth_line_time:     2.0555563e-03   s\n"
        f"range_samples:                  {layer.image.shape[1]:6d}\n"
        f"azimuth_lines:                  {layer.image.shape[0]:6d}\n"
        "range_looks:                       1\n"
        "azimuth_looks:                     1\n"
        f"image_format:               {image_format}\n"
        "image_geometry:             SLANT_RANGE\n"
        f"heading:       {scene.look.heading % 360:.7f}   degrees\n"
        "range_pixel_spacing:        2.329562   m\n"
        "azimuth_pixel_spacing:     13.983590   m\n"
        "near_range_slc:           849900.0000  m\n"
        f"incidence_angle:             {scene.look.incidence:.4f}   degrees\n"
        "azimuth_angle:               90.0000   degrees\n"
        f"radar_frequency:        {299792458 / scene.wavelength:.6f}  Hz\n"
        f"number_of_state_vectors: {len(arc.times):18d}\n"
        f"time_of_first_state_vector: {NOON + arc.times[0]:18.6f}   s\n"
        f"state_vector_interval: {arc.times[1] - arc.times[0]:18.6f}   s\n" + vectors
    )


def write_map(folder: Path, scene: SlcScene) -> None:
    """A map of half the pixel size, three pixels wider all round; its lookup counts pixels of the images."""
    t, (height, width) = scene.grid.transform, scene.grid.shape
    # Not on whole pixels: a lookup of exactly 0 means none.
    line, column = np.mgrid[-3.2 : height + 2.5 : 0.5, -3.2 : width + 2.5 : 0.5]
    (folder / "EQA.dem_par").write_text(
        "Gamma DIFF&GEO DEM/MAP parameter file\n"
        "title: scene\n"
        "DEM_projection:     EQA\n"
        "data_format:        REAL*4\n"
        "DEM_hgt_offset:          0.00000\n"
        "DEM_scale:               1.00000\n"
        f"width:                {line.shape[1]}\n"
        f"nlines:               {line.shape[0]}\n"
        f"corner_lat:     {t.f + t.e * -2.7:.10f}  decimal degrees\n"
        f"corner_lon:    {t.c + t.a * -2.7:.10f}  decimal degrees\n"
        f"post_lat:   {t.e / 2:.10e}  decimal degrees\n"
        f"post_lon:    {t.a / 2:.10e}  decimal degrees\n"
    )
    (column + 1j * line).astype(">c8").tofile(folder / "20180702.lt_fine")
    heights = 2000 + 12 * line + 7 * column + 30 * np.sin(0.3 * column)
    heights.astype(">f4").tofile(folder / "EQA.dem")
