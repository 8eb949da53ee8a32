"""Sums of gradient stacks on disk: one Zarr group per track, `gradients.zarr`.

The group's attributes hold the plan (pairs, weights, windows, directions, grid) as JSON; the array `sums` has shape
(window, plane, y, x); a record tells from which files each pair was read. While it grows it lies under another name
beside its final place, with the row blocks that are complete noted in its attributes, so that a run that was killed
goes on where it was.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray

from groundshift.errors import DamagedFileError
from groundshift.gradients.noise import Likeness, NoiseShare
from groundshift.gradients.stack import Direction, GradientStack, TimeWindow
from groundshift.gradients.sums import StackPlan, finish
from groundshift.types import Grid, LookGeometry, MapGrid, Pair, RadarGrid

__all__ = ["SumsFile", "open_sums"]

_VERSION = 2


class SumsFile:
    """Sums on disk, with the plan they were made by.

    Make one with `create` or `open_sums`.
    """

    def __init__(self, path: Path, group: zarr.Group, plan: StackPlan) -> None:
        self.path = path
        self.plan = plan
        self._group = group

    @classmethod
    def create(
        cls,
        path: Path,
        plan: StackPlan,
        fingerprint: str,
        block_rows: int,
        height: NDArray[np.float32] | None,
        record: Mapping[str, Any] | None = None,
    ) -> "SumsFile":
        """Make an empty file; one that stands there is replaced.

        `fingerprint` tells what the sums are made from, and `record`, as JSON, in full; `block_rows` is the number of
        rows written at a time; `height` is the terrain in metres on the working pixels, NaN where unknown, if the
        product has it.
        """
        group = zarr.open_group(path, mode="w")
        rows, columns = plan.grid.shape
        group.create_array(
            "sums",
            shape=_shape(plan),
            chunks=(1, plan.planes, min(block_rows, rows), columns),
            dtype="float32",
        )
        if isinstance(plan.grid, RadarGrid) and plan.grid.longitude is not None and plan.grid.latitude is not None:
            group.create_array("longitude", data=plan.grid.longitude)
            group.create_array("latitude", data=plan.grid.latitude)
        if height is not None:
            group.create_array("height", data=height)
        group.attrs.put({
            "version": _VERSION, "fingerprint": fingerprint, "rows_done": [], "plan": _plan_to_json(plan),
            "record": dict(record or {}),
        })  # fmt: skip
        return cls(path, group, plan)

    def __reduce__(self) -> tuple[Callable[[Path], "SumsFile"], tuple[Path]]:
        """Let processes hand each other where the file lies, not what it holds."""
        return open_sums, (self.path,)

    @property
    def fingerprint(self) -> str:
        """What the sums were made from."""
        return str(self._group.attrs["fingerprint"])

    @property
    def record(self) -> dict[str, Any]:
        """What the sums were made from, in full, as it was given to `create`."""
        found: Any = self._group.attrs["record"]
        return dict(found)

    @property
    def rows_done(self) -> list[tuple[int, int]]:
        """Row blocks that are complete, as (first, past the last)."""
        return [(int(a), int(b)) for a, b in _list(self._group.attrs["rows_done"])]

    @property
    def seconds_per_pair(self) -> float | None:
        """How long reading and summing one pair took; None where none was summed yet."""
        found: Any = self._group.attrs.get("seconds_per_pair")
        return None if found is None else float(found)

    @seconds_per_pair.setter
    def seconds_per_pair(self, seconds: float | None) -> None:
        self._group.attrs["seconds_per_pair"] = seconds

    def write_rows(self, first: int, sums: NDArray[np.float32]) -> None:
        """Store the sums of a block of rows, (window, plane, rows, x), and note it as complete."""
        past = first + sums.shape[2]
        self._sums[:, :, first:past] = sums
        self._group.attrs["rows_done"] = [*_list(self._group.attrs["rows_done"]), [first, past]]

    def read(self, window: int = 0) -> NDArray[np.float32]:
        """Return the sums of one time window: (plane, y, x)."""
        return self._decode("sums", window)

    def read_rows(self, window: int, first: int, past: int) -> NDArray[np.float32]:
        """Return the sums of one time window from row `first` to before row `past`: (plane, rows, x)."""
        return self._decode("sums", (window, slice(None), slice(first, past)))

    def read_height(self) -> NDArray[np.float32] | None:
        """Return terrain heights in metres on the working pixels, or None if the product had none."""
        return self._decode("height", ...) if "height" in self._group else None

    def stack(self, window: int = 0) -> GradientStack:
        """Return the finished stack of one time window."""
        return finish(self.plan, window, self.read(window))

    def stacks(self) -> Iterator[GradientStack]:
        """Return the finished stacks one after the other, so that only one is in memory."""
        return (self.stack(k) for k in range(len(self.plan.windows)))

    @property
    def _sums(self) -> Any:
        return self._group["sums"]

    def _decode(self, name: str, part: Any) -> NDArray[np.float32]:
        """Read a part of an array, which may have been damaged since it was written."""
        found: Any = self._group[name]
        try:
            return np.asarray(found[part], np.float32)
        except (OSError, RuntimeError, ValueError) as error:
            raise DamagedFileError(
                f"{self.path}: {name} cannot be decoded; delete this folder and run `groundshift stack` again"
            ) from error


def open_sums(path: Path) -> SumsFile:
    """Open sums on disk for reading and adding.

    Raises
    ------
    DamagedFileError
        If this is no such file, or one of another version.
    """
    broken = f"{path}: no sums of gradients here; run `groundshift stack` again"
    try:
        group = zarr.open_group(path, mode="r+")
        version = group.attrs["version"]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedFileError(broken) from error
    if version != _VERSION:
        raise DamagedFileError(f"{path}: sums of version {version}, expected {_VERSION}; run the survey again")
    try:
        file = SumsFile(path, group, _plan_from_json(group.attrs["plan"], group))
        _ = file.fingerprint, file.rows_done, file.record
        if file._sums.shape != _shape(file.plan):
            raise ValueError("the plan is not that of the sums")
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise DamagedFileError(broken) from error
    return file


def _shape(plan: StackPlan) -> tuple[int, int, int, int]:
    """Shape of the sums of a plan: (window, plane, y, x)."""
    return (len(plan.windows), plan.planes, *plan.grid.shape)


def _plan_to_json(plan: StackPlan) -> dict[str, Any]:
    return {
        "track": plan.track,
        "wavelength": plan.wavelength,
        "smoothing": plan.smoothing,
        "noise": list(plan.noise),
        "likeness": [[when, *found] for when, found in plan.likeness.items()],
        "look": None if plan.look is None else [plan.look.heading, plan.look.incidence, plan.look.right_looking],
        "grid": _grid_to_json(plan.grid),
        "pairs": [[p.reference.isoformat(), p.secondary.isoformat(), p.perpendicular_baseline] for p in plan.pairs],
        "windows": [[w.name, w.members.tolist(), w.weights.tolist()] for w in plan.windows],
        "directions": [[d.name, list(d.start), list(d.end)] for d in plan.directions],
    }


def _plan_from_json(found: Any, group: zarr.Group) -> StackPlan:
    return StackPlan(
        track=found["track"],
        grid=_grid_from_json(found["grid"], group),
        wavelength=float(found["wavelength"]),
        pairs=tuple(Pair(date.fromisoformat(a), date.fromisoformat(b), c) for a, b, c in found["pairs"]),
        windows=tuple(
            TimeWindow(name, np.array(members, np.intp), np.array(weights, np.float64))
            for name, members, weights in found["windows"]
        ),
        directions=tuple(Direction(name, (a[0], a[1]), (b[0], b[1])) for name, a, b in found["directions"]),
        smoothing=int(found["smoothing"]),
        noise=NoiseShare(*found["noise"]),
        look=None if found["look"] is None else LookGeometry(*found["look"]),
        likeness={int(when): Likeness(total, number) for when, total, number in found["likeness"]},
    )


def _grid_to_json(grid: Grid) -> dict[str, Any]:
    if isinstance(grid, MapGrid):
        return {"kind": "map", "shape": grid.shape, "transform": list(grid.transform)[:6], "crs": grid.crs}
    return {"kind": "radar", "shape": grid.shape, "spacing": grid.spacing, "origin": grid.origin, "step": grid.step}


def _grid_from_json(found: Any, group: zarr.Group) -> Grid:
    height, width = found["shape"]
    if found["kind"] == "map":
        return MapGrid((height, width), Affine(*found["transform"]), found["crs"])
    located = "longitude" in group
    return RadarGrid(
        (height, width),
        (found["spacing"][0], found["spacing"][1]),
        np.asarray(_array(group, "longitude")) if located else None,
        np.asarray(_array(group, "latitude")) if located else None,
        (found["origin"][0], found["origin"][1]),
        (found["step"][0], found["step"][1]),
    )


def _array(group: zarr.Group, name: str) -> NDArray[np.float64]:
    found: Any = group[name]
    return np.asarray(found[:])


def _list(found: Any) -> list[list[int]]:
    return [list(item) for item in found]
