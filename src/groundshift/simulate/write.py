"""Write a scene as a folder of GeoTIFFs with its truth beside them; the layout is that of docs/geotiff-folder.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from geopandas.geodataframe import GeoDataFrame
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from shapely import Polygon

from groundshift.errors import OutputError
from groundshift.io.atomic import atomic_path, write_text
from groundshift.io.rasters import write_geotiff
from groundshift.simulate.scene import Scene

__all__ = ["slide_table", "write_scene"]

_CONFIG = "simulation.yaml"


def write_scene(scene: Scene, folder: Path, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Write a scene to a new folder, or finish one that was interrupted.

    Parameters
    ----------
    scene : Scene
        What to write.
    folder : path
        Made if need be. It must be empty or hold the same scene; finished files are kept.
    progress : callable, optional
        Told the number of pairs done and the number of all.

    Raises
    ------
    OutputError
        If the folder holds anything else, or cannot be written to.
    """
    configuration = yaml.safe_dump(scene.config.model_dump(mode="json"), sort_keys=False)
    _claim(folder, configuration)
    magnitudes = [0.0] * len(scene.slides)
    masks = [slide.mask(scene.grid.shape) for slide in scene.slides]
    for number, pair in enumerate(scene.pairs, start=1):
        igram = scene.igram(pair)
        for index, mask in enumerate(masks):
            magnitudes[index] += float(np.abs(igram[mask]).mean()) / len(scene.pairs)
        _write_once(folder / f"{pair.name}_phase.tif", np.angle(igram), scene, "wrapped phase", "radian")
        _write_once(folder / f"{pair.name}_coh.tif", np.abs(igram), scene, "coherence", "")
        if progress is not None:
            progress(number, len(scene.pairs))
    _write_once(folder / "dem.tif", scene.heights, scene, "height", "metre")
    _write_once(folder / "truth_velocity.tif", scene.velocity, scene, "velocity towards the satellite", "mm/yr")
    slides = slide_table(scene)
    slides["mean_coherence"] = np.asarray(magnitudes, np.float64)
    _write_slides(folder / "truth.gpkg", slides)
    write_text(folder / "metadata.yaml", yaml.safe_dump(_metadata(scene), sort_keys=False))


def slide_table(scene: Scene) -> GeoDataFrame:
    """Return the true slides as a table in EPSG:4326; the columns are described in docs/geotiff-folder.md."""
    pixel_area = scene.config.pixel_m**2
    columns: dict[str, NDArray[Any]] = {
        "id": np.array([s.id for s in scene.slides], np.int64),
        "profile": np.array([s.profile for s in scene.slides], object),
        "behaviour": np.array([s.behaviour for s in scene.slides], object),
        "velocity_los_mm_yr": np.array([s.los_velocity for s in scene.slides], np.float64),
        "speed_mm_yr": np.array([s.speed for s in scene.slides], np.float64),
        "sensitivity": np.array([s.sensitivity for s in scene.slides], np.float64),
        "azimuth_deg": np.array([s.azimuth for s in scene.slides], np.float64),
        "slope_deg": np.array([s.slope for s in scene.slides], np.float64),
        "length_m": np.array([s.length_m for s in scene.slides], np.float64),
        "width_m": np.array([s.width_m for s in scene.slides], np.float64),
        "area_m2": np.array([(s.pattern > 0).sum() * pixel_area for s in scene.slides], np.float64),
        "amplitude": np.array([s.course.amplitude for s in scene.slides], np.float64),
    }
    outlines: list[Polygon] = [s.polygon for s in scene.slides]
    return GeoDataFrame(columns, geometry=outlines, crs="EPSG:4326")


def _metadata(scene: Scene) -> dict[str, Any]:
    """Return what the rasters cannot say."""
    return {
        "wavelength_m": scene.config.wavelength_m,
        "heading_deg": scene.config.heading,
        "incidence_deg": scene.config.incidence,
        "right_looking": scene.config.right_looking,
        "track": f"simulated-{scene.config.seed}",
        "perpendicular_baselines_m": {p.name: round(float(p.perpendicular_baseline or 0.0), 3) for p in scene.pairs},
    }


def _claim(folder: Path, configuration: str) -> None:
    """Make the folder this scene's, or raise OutputError if it is another's."""
    try:
        mine = folder / _CONFIG
        if mine.is_file() and mine.read_text(encoding="utf-8") == configuration:
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: already holds something else; choose a new or empty folder")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder}: cannot be read; choose another output folder") from error
    write_text(mine, configuration)


def _write_once(path: Path, array: NDArray[Any], scene: Scene, description: str, unit: str) -> None:
    """Write a float32 raster unless it is there: files appear whole, so one that is there is finished."""
    if not path.exists():
        write_geotiff(
            path, array.astype(np.float32), scene.grid, nodata=float("nan"), description=description, unit=unit
        )


def _write_slides(path: Path, slides: GeoDataFrame) -> None:
    """Write the layer `slides`."""
    with atomic_path(path) as temporary:
        try:
            slides.to_file(temporary, layer="slides", driver="GPKG", engine="pyogrio", geometry_type="Polygon")
        except (DataSourceError, DataLayerError) as error:
            raise OutputError(f"{path}: cannot be written; free some space and run again") from error
