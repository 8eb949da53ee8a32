"""GAMMA geocoded to a map: unwrapped phase with coherence, dates of six digits, one list of baselines."""

import numpy as np

NAME = "gamma"
MODULE = "groundshift.io.gamma"


def write(folder, scene):
    t = scene.grid.transform
    (folder / "060619_utm_dem.par").write_text(
        "DEM_projection:     EQA\n"
        "data_format:        INTEGER*2\n"
        "DEM_hgt_offset:          100.00000\n"
        "DEM_scale:               0.10000\n"
        f"width:                {scene.grid.shape[1]}\n"
        f"nlines:               {scene.grid.shape[0]}\n"
        f"corner_lat:     {t.f + t.e / 2:.10f}  decimal degrees\n"
        f"corner_lon:    {t.c + t.a / 2:.10f}  decimal degrees\n"
        f"post_lat:   {t.e:.10e}  decimal degrees\n"
        f"post_lon:    {t.a:.10e}  decimal degrees\n"
    )
    np.round((scene.heights - 100) * 10).astype(">i2").tofile(folder / "060619_utm.dem")
    (folder / "060619_slc.par").write_text(
        "range_samples:                    8630\n"
        "azimuth_lines:                    8571\n"
        f"radar_frequency: {299792458 / scene.wavelength:.6f} Hz\n"
        f"incidence_angle: {scene.look.incidence:.4f} degrees\n"
        f"heading:         {scene.look.heading:.4f}   degrees\n"
        "azimuth_angle:               90.0000   degrees\n"
    )
    lines = []
    for number, layer in enumerate(scene.layers, 1):
        dates = sorted([layer.first, layer.second])
        lines.append(f"{number:4d}  {dates[0]:%Y%m%d}  {dates[1]:%Y%m%d}  {layer.baseline:.4f}  12.0\n")
        name = f"{layer.first:%y%m%d}-{layer.second:%y%m%d}_utm"
        place = folder / ("ifg" if layer.copy == 0 else "again")
        place.mkdir(exist_ok=True)
        np.where(layer.valid, layer.unwrapped, 0).astype(">f4").tofile(place / f"{name}.unw")
        layer.coherence.astype(">f4").tofile(place / f"{name}.unw.cc")
    (folder / "bperp_file").write_text("".join(lines))
    return folder
