"""The page on hazard: what sped up first, then each series with its picture. One file that opens anywhere, offline."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from groundshift import __version__
from groundshift.report.embedding import data_uri

__all__ = ["HazardEntry", "render_hazard"]


class HazardEntry(NamedTuple):
    """One series."""

    name: str
    lines: Sequence[str]
    """What is told of it, in sentences."""
    picture: bytes
    """PNG."""


def render_hazard(entries: Sequence[HazardEntry], alerts: Sequence[str], since: date, looked_at: int) -> str:
    """Return the page as text; all text that comes from files is escaped."""
    environment = Environment(
        loader=PackageLoader("groundshift.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = [{"name": e.name, "lines": e.lines, "picture": data_uri(e.picture)} for e in entries]
    return environment.get_template("hazard.html.j2").render(
        entries=shown, alerts=alerts, since=since, looked_at=looked_at, version=__version__
    )
