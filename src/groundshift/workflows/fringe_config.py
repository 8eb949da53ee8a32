"""What the classification of fringes, the making of windows for it and its evaluation can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from groundshift.simulate.fringe_config import FringeConfig
from groundshift.training.config import MachineConfig
from groundshift.training.fringes.config import CutConfig, FringeModelConfig, FringePlanConfig
from groundshift.workflows.parts import Config

__all__ = [
    "ClassifyConfig", "FoundConfig", "FringeEvaluationConfig", "FringeInputConfig", "FringeMakeConfig",
    "FringeMakeRun", "PlaceConfig", "ScanConfig",
]  # fmt: skip


class FringeInputConfig(Config):
    """Which interferograms are taken, and how they are prepared."""

    days: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """Shortest and longest temporal baseline, days; all pairs by default."""
    fringe_pixel: Annotated[float, Field(gt=0)] = 28.0
    """Pixel that interferograms are brought to, metres; a window of 150 of them is 4.2 km wide."""
    large_scale: Annotated[float, Field(ge=0)] = 2000.0
    """Phase that varies over more than this is taken out, metres; 0 leaves it in."""
    dem: Path | None = None
    """Terrain heights (GeoTIFF) that tell slopes from flats; by default those of the product."""


class ScanConfig(Config):
    """What looks for fringes."""

    model: str = Field("fringes", min_length=1)
    """Name of a shipped fringe classifier, or an .onnx file."""


class PlaceConfig(Config):
    """Which scores make a candidate."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Score from which a cell of 10 x 10 pixels belongs to a candidate."""
    least_cells: Annotated[int, Field(ge=1)] = 2
    """Candidates of fewer cells are dropped; 1 keeps all."""
    least_slope: Annotated[float, Field(ge=0, lt=90)] | None = None
    """Candidates on ground of a lower mean slope, degrees, are dropped; needs heights."""


class FoundConfig(PlaceConfig):
    """Which scores make a candidate on whole interferograms."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.97
    """Score from which a cell of 10 x 10 pixels belongs to a candidate. Half of the windows that are learned from hold
    one, hardly any of a map does: from 0.5 on, as published, nine places of ten are none."""


class ClassifyConfig(Config):
    """Everything that the classification of fringes can be told."""

    inputs: tuple[Path, ...]
    output: Path
    product: str | None = None
    pattern: str | None = None
    wavelength: Annotated[float, Field(gt=0)] | None = None
    take: FringeInputConfig = FringeInputConfig()
    scan: ScanConfig = ScanConfig()
    places: FoundConfig = FoundConfig()


class FringeMakeRun(Config):
    """How many windows are made, and of what."""

    polygons: Path | None = None
    """Vector file with an outline of each candidate; a column `pair` (YYYYMMDD_YYYYMMDD) limits it to one pair."""
    layer: str | None = None
    """Layer of that file; the first one with polygons by default."""
    simulated: Annotated[int, Field(ge=0)] = 0
    """Number of scenes to simulate, instead of inputs."""
    per_class: Annotated[int, Field(ge=2)] = 2000
    """Windows of each class; candidates are turned, mirrored and moved until there are so many."""
    by_pair: bool = False
    """Let every pair count as a scene of its own; by default the pairs of one input are one scene."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of what is simulated and where windows are cut."""


class FringeMakeConfig(Config):
    """Everything that the making of windows can be told."""

    inputs: tuple[Path, ...] = ()
    output: Path
    product: str | None = None
    pattern: str | None = None
    wavelength: Annotated[float, Field(gt=0)] | None = None
    run: FringeMakeRun = FringeMakeRun()
    take: FringeInputConfig = FringeInputConfig()
    cut: CutConfig = CutConfig()
    scenes: FringeConfig = FringeConfig()

    @model_validator(mode="after")
    def _check(self) -> "FringeMakeConfig":
        if bool(self.inputs) == bool(self.run.simulated):
            raise ValueError("expected inputs or --simulated, one of both")
        if self.inputs and self.run.polygons is None:
            raise ValueError("--polygons: expected a vector file with the outlines of candidates on the inputs")
        return self


class FringeEvaluationConfig(Config):
    """Everything that cross-validation of a fringe classifier can be told."""

    inputs: tuple[Path, ...]
    output: Path
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts that the scenes are split into; each is judged by a network that learned from the others."""
    places: PlaceConfig = PlaceConfig()
    model: FringeModelConfig = FringeModelConfig()
    plan: FringePlanConfig = FringePlanConfig()
    machine: MachineConfig = MachineConfig()
