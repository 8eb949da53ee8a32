"""What the training loop and the export ask of settings, networks and samples, whatever is learned from them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from groundshift.training.config import MachineConfig, PlanConfig

__all__ = ["Exportable", "Learning", "RunConfig", "Source", "Watch"]


class RunConfig(Protocol):
    """The settings of a run that the loop itself needs."""

    @property
    def plan(self) -> PlanConfig:
        """How long and how fast is learned."""
        ...

    @property
    def machine(self) -> MachineConfig:
        """Where it runs."""
        ...

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        """Return all settings as plain values."""
        ...


class Learning(Protocol):
    """What joins a network to samples, as far as the loop is concerned; see `groundshift.training.tasks.Task`."""

    @property
    def kind(self) -> str:
        """What the network tells."""
        ...

    @property
    def planes(self) -> Sequence[str]:
        """Names of what it sees."""
        ...

    def batch(self, samples: Any) -> dict[str, Tensor]:
        """Make inputs and targets of samples of one shape."""
        ...

    def outputs(self, model: nn.Module, batch: Mapping[str, Tensor], progress: float) -> Any:
        """Run the network; `progress` is the share of training that is done."""
        ...

    def losses(self, outputs: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the named terms whose sum is minimised."""
        ...

    def predict(self, model: nn.Module, samples: Any) -> Sequence[Any]:
        """Return what a network says of each sample."""
        ...


class Exportable(Learning, Protocol):
    """What joins a network to samples, and knows the form to export."""

    def exported(self, model: nn.Module) -> nn.Module:
        """Return the form to export: from its one input to its named outputs."""
        ...


class Source(Protocol):
    """Where the samples of each step come from."""

    def most_workers(self, wanted: int) -> int:
        """Return how many processes can share the work."""
        ...

    def tiles(self, step: int) -> Sequence[Any]:
        """Return the samples of one step, a function of the step alone."""
        ...


class Watch(Protocol):
    """Who is told how a run gets on."""

    def advance(self, more: int = 1, /) -> None:
        """Tell that steps are done."""
        ...

    def recorded(self, record: Mapping[str, float], records: Sequence[Mapping[str, float]], /) -> None:
        """Tell the newest record, and all of them."""
        ...

    def validated(self, samples: Sequence[Any], predictions: Sequence[Any], /) -> None:
        """Show what was found on the validation samples."""
        ...
