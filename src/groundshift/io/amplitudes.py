"""Tell which amplitude images a path holds, and open them with their geometry."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from groundshift.errors import GroundshiftError, MissingFileError, NoDataError, ProductError, UnknownFormatError
from groundshift.io import amplitudes_gamma, amplitudes_plain, amplitudes_safe, ceos
from groundshift.io.amplitude import AmplitudeImage
from groundshift.io.stack import Problem

__all__ = ["AMPLITUDE_READERS", "AmplitudeReader", "AmplitudeSet", "holds_amplitudes", "open_amplitudes"]

_DEPTH = 3
"""Levels of folders searched: the one given and two below."""


class AmplitudeReader(Protocol):
    """A module that reads one product family."""

    PRODUCT: str
    """Its name, as `--format` takes it."""

    def find(self, entries: Sequence[Path]) -> list[Path]:
        """Return the images of this family among files and folders; cheap, reads no pixel."""
        ...

    def open_images(self, path: Path) -> list[AmplitudeImage]:
        """Open one of them; the swaths of a product are several images."""
        ...


class AmplitudeSet(NamedTuple):
    """Images that can be used, by day and sensor, and what keeps the others from it."""

    images: list[AmplitudeImage]
    problems: tuple[Problem, ...]


AMPLITUDE_READERS: tuple[AmplitudeReader, ...] = (ceos, amplitudes_safe, amplitudes_gamma, amplitudes_plain)


def holds_amplitudes(path: Path | str, product: str | None = None) -> bool:
    """Whether a path looks like amplitude images of a product, or of any that a reader knows; reads no pixel."""
    entries = _entries(Path(path))
    return any(reader.find(entries) for reader in AMPLITUDE_READERS if product in (None, reader.PRODUCT))


def open_amplitudes(path: Path | str, *, product: str | None = None, strict: bool = False) -> AmplitudeSet:
    """Open amplitude images of one or more sensors and formats.

    Parameters
    ----------
    path : path
        A folder, whose folders are searched two levels down, or one image.
    product : str, optional
        Name of the only reader that is asked; all of them by default.
    strict : bool
        Stop at the first image that cannot be used.

    Returns
    -------
    AmplitudeSet
        Images in the order of their days and sensors; those left out are told.

    Raises
    ------
    MissingFileError
        If there is nothing at `path`.
    UnknownFormatError
        If `product` is not the name of a reader, or no reader knows what is there.
    NoDataError
        If no image can be used; the line is that of the first problem.
    ProductError
        If two images are of one day and sensor, or `strict` and an image cannot be used.
    """
    path = Path(path)
    names = [reader.PRODUCT for reader in AMPLITUDE_READERS]
    if product is not None and product not in names:
        raise UnknownFormatError(f"unknown format {product!r} of amplitude images; choose one of: {', '.join(names)}")
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder; check the spelling")
    if path.is_dir() and not any(path.iterdir()):
        raise NoDataError(f"{path}: the folder is empty; give the folder that holds the images")
    images: list[AmplitudeImage] = []
    problems: list[Problem] = []
    for reader, one in _found(path, product):
        try:
            images += reader.open_images(one)
        except GroundshiftError as error:
            if strict:
                raise ProductError(str(error)) from error
            problems.append(Problem(one, str(error)))
    if not images and not problems:
        raise UnknownFormatError(
            f"{path}: no amplitude images with geometry here; give images of {', '.join(names)} "
            "(plain: a raster with a YAML file of its name beside)"
        )
    if not images:
        raise NoDataError(problems[0].message)
    return AmplitudeSet(_in_order(images), tuple(problems))


def _found(path: Path, product: str | None) -> Iterator[tuple[AmplitudeReader, Path]]:
    """Yield what each reader finds; a file goes to the first reader that takes it."""
    entries = _entries(path)
    taken: set[Path] = set()
    for reader in AMPLITUDE_READERS:
        if product in (None, reader.PRODUCT):
            for one in reader.find(entries):
                if one not in taken:
                    taken.add(one)
                    yield reader, one


def _entries(path: Path) -> list[Path]:
    """Return the files and folders at a path, by name."""
    if not path.is_dir() or path.suffix.upper() == ".SAFE":
        return [path] if path.exists() else []
    return sorted(_walk(path, _DEPTH))


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield files and folders, hidden ones left out; what lies in a product of Sentinel-1 is its own."""
    try:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in entries:
        yield entry
        if depth > 1 and entry.is_dir() and entry.suffix.upper() != ".SAFE":
            yield from _walk(entry, depth - 1)


def _in_order(images: Sequence[AmplitudeImage]) -> list[AmplitudeImage]:
    """Return images by day and sensor; raise ProductError where two have both in common."""
    ordered = sorted(images, key=lambda image: (image.day, image.sensor, str(image.path)))
    for one, other in pairwise(ordered):
        if (one.day, one.sensor) == (other.day, other.sensor):
            raise ProductError(
                f"{other.path}: {one.sensor} of {one.day} is already given by {one.path}; "
                "remove one, or give the folder of one frame"
            )
    return ordered
