"""What looking for moving ground in single interferograms can be told."""

from typing import Annotated

from pydantic import Field

from groundshift.workflows.parts import Config

__all__ = ["SegmentsConfig"]


class SegmentsConfig(Config):
    """How moving ground is outlined in interferograms and becomes a target."""

    model: Annotated[str, Field(min_length=1)] = "slidenet"
    """Name of a shipped model, or an .onnx file; slidenet_times looks at several interferograms at once."""
    probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a pixel counts as moving."""
    pixels: Annotated[int, Field(ge=1)] = 25
    """Fewest pixels of moving ground."""
    pixel: Annotated[float, Field(gt=0)] = 15.0
    """Pixel size aimed at, metres; the networks have learned at 14.6."""
    days: Annotated[int, Field(gt=0)] = 36
    """Longest temporal baseline, days; the networks have learned at 6 to 18."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of the interferograms with data that must see a place before it becomes a target."""
    together: Annotated[int, Field(ge=1)] = 6
    """Models that look at several interferograms: most at once; the answers of all groups are averaged."""
    merge_distance: Annotated[float, Field(gt=0)] = 100.0
    """Metres between the middles of two outlines that are one target."""
