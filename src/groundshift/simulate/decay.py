"""How coherence decays with time."""

import math

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Decay"]


class Decay(BaseModel):
    """Loss of coherence with time: `(initial - final) exp(-t / tau) + final`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    initial: float = Field(ge=0, le=1)
    """Coherence at no time."""
    final: float = Field(ge=0, le=1)
    """Coherence after a very long time."""
    tau_days: float = Field(gt=0)
    """Days over which coherence falls, exponentially."""

    def at(self, days: float) -> float:
        """Coherence after `days`."""
        return (self.initial - self.final) * math.exp(-days / self.tau_days) + self.final
