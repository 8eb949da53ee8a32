"""GAMMA in radar geometry: complex interferograms with coherence, and a lookup table from a finer map."""

from pathlib import Path

import numpy as np

NAME = "gamma"
MODULE = "groundshift.io.gamma"
LOCATION_PIXELS = 0.02


def write(folder, scene):
    heading = scene.look.heading % 360
    (folder / "rmli").mkdir()
    (folder / "rmli" / "20180702.rmli.par").write_text(
        "Gamma Interferometric SAR Processor (ISP) - Image Parameter File\n\n"
        "title:     scene\n"
        "date:      2018 07 02\n"
        f"range_samples:                  {scene.grid.shape[1]:6d}\n"
        f"azimuth_lines:                  {scene.grid.shape[0]:6d}\n"
        "image_geometry:             SLANT_RANGE\n"
        f"heading:       {heading:.7f}   degrees\n"
        "range_pixel_spacing:        9.318248   m\n"
        "azimuth_pixel_spacing:     13.983590   m\n"
        f"incidence_angle:             {scene.look.incidence:.4f}   degrees\n"
        "azimuth_angle:               90.0000   degrees\n"
        f"radar_frequency:        {299792458 / scene.wavelength:.6f}  Hz\n"
        "sar_to_earth_center:             7071912.0992   m\n"
        "earth_radius_below_sensor:       6372653.4681   m\n"
    )
    for layer in scene.layers:
        # A second product of the same pair lies in a folder of its own.
        place = folder / ("diff" if layer.copy == 0 else "again")
        place.mkdir(exist_ok=True)
        magnitude = np.where(layer.valid, 3000.0, 0)
        with np.errstate(invalid="ignore"):
            raw = magnitude * np.exp(1j * layer.unwrapped)
        raw.astype(">c8").tofile(place / f"{layer.name}.diff.sm")
        layer.coherence.astype(">f4").tofile(place / f"{layer.name}.cc")
        _write_baseline(folder / f"{layer.name}_base.par", layer.baseline, scene.look.incidence)
    _write_map(folder, scene)
    return folder


def _write_baseline(path: Path, baseline: float, incidence: float) -> None:
    """A baseline vector that lies across the line of sight at the image centre."""
    look = np.arcsin(6372653.4681 / 7071912.0992 * np.sin(np.radians(incidence)))
    across, down = baseline * np.cos(look), -baseline * np.sin(look)
    path.write_text(
        f"initial_baseline(TCN):          0.1585592       {across:.7f}        {down:.7f}   m   m   m\n"
        "initial_baseline_rate:          0.0000000       -0.0439410        0.0177195   m/s m/s m/s\n"
        "precision_baseline(TCN):        0.0000000        0.0000000        0.0000000   m   m   m\n"
        "precision_baseline_rate:        0.0000000        0.0000000        0.0000000   m/s m/s m/s\n"
        "unwrap_phase_constant:            0.00000     radians\n"
    )


def _write_map(folder, scene) -> None:
    """A map of half the pixel size, its pixels at whole and half radar pixels, three radar pixels wider all round."""
    t, (height, width) = scene.grid.transform, scene.grid.shape
    line, column = np.mgrid[-3 : height + 2.5 : 0.5, -3 : width + 2.5 : 0.5]
    (folder / "EQA.dem_par").write_text(
        "Gamma DIFF&GEO DEM/MAP parameter file\n"
        "title: scene\n"
        "DEM_projection:     EQA\n"
        "data_format:        REAL*4\n"
        "DEM_hgt_offset:          0.00000\n"
        "DEM_scale:               1.00000\n"
        f"width:                {line.shape[1]}\n"
        f"nlines:               {line.shape[0]}\n"
        f"corner_lat:     {t.f + t.e * -2.5:.10f}  decimal degrees\n"
        f"corner_lon:    {t.c + t.a * -2.5:.10f}  decimal degrees\n"
        f"post_lat:   {t.e / 2:.10e}  decimal degrees\n"
        f"post_lon:    {t.a / 2:.10e}  decimal degrees\n"
    )
    (column + 1j * line).astype(">c8").tofile(folder / "20180702.lt_fine")
    heights = 2000 + 12 * line + 7 * column + 30 * np.sin(0.3 * column)
    heights.astype(">f4").tofile(folder / "EQA.dem")
