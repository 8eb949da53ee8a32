"""What an export is asked to become, told from its name."""

from pathlib import Path
from typing import Literal, NamedTuple

from groundshift.workflows.config import SettingError

__all__ = ["Destination", "destination"]

Form = Literal["csv", "geojson", "mintpy", "stac", "kmz", "shapefile", "postgis"]

_FORMS: dict[str, Form] = {
    ".csv": "csv",
    ".geojson": "geojson",
    ".h5": "mintpy",
    ".json": "stac",
    ".kmz": "kmz",
    ".shp": "shapefile",
}


class Destination(NamedTuple):
    """Where an export goes, and in which form."""

    form: Form
    text: str
    """A path, or the URL of a database."""

    @property
    def path(self) -> Path:
        """The path of a file."""
        return Path(self.text)


def destination(text: str) -> Destination:
    """Tell the form of an export from the suffix of a file, or from the scheme of a URL.

    Raises
    ------
    SettingError
        If neither is known. A URL is not repeated, as it may hold a password.

    Examples
    --------
    >>> destination("out/targets.geojson").form
    'geojson'
    """
    scheme, is_url, _ = text.partition("://")
    known = f"a file that ends in {', '.join(list(_FORMS)[:-1])} or {list(_FORMS)[-1]}, or postgresql://..."
    if is_url and scheme.lower() in ("postgresql", "postgres"):
        return Destination("postgis", text)
    if is_url:
        raise SettingError(f"--to: expected {known}, instead got {scheme}://...")
    form = _FORMS.get(Path(text).suffix.lower())
    if form is None:
        raise SettingError(f"--to: expected {known}, instead got {text!r}")
    if form == "mintpy" and Path(text).name != "timeseries.h5":
        raise SettingError(f"--to: expected the name timeseries.h5, which MintPy looks for, instead got {text!r}")
    return Destination(form, text)
