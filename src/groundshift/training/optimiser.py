"""How fast is learned: plans for the optimiser and its rate, functions of the share of training that is done.

`adamw` is one cycle: a linear rise, then half a cosine down. `paper` goes as Fu et al. (2022), section 4.4: Adam for
the first third of the epochs, then stochastic gradients with momentum; each falls by half a cosine. They do not give
rates; that of stochastic gradients, whose steps are not scaled by their own size, is ten times that of Adam. The others
are those of the authors of single networks: `adam` stays at its rate, with the moments of Bralet et al. (2024); `sgd`
is divided by ten after each sixth, which is 5,000 of the 30,000 steps of Kamiyama et al. (2018); `polynomial` is Adam
whose rate falls as the power 0.95 of what is left (Wu et al. (2022)).
"""

import math
from typing import Literal

import torch
from torch import nn

from groundshift.training.config import PlanConfig

__all__ = ["Phase", "make_optimiser", "phase_at", "rate_at"]

Phase = Literal["adamw", "adam", "sgd"]

_RISE = {"adamw": 0.05, "paper": 0.01, "adam": 0.0, "sgd": 0.0, "polynomial": 0.0}
"""Share of training in which the rate rises from nothing."""
_ADAM_SHARE = 1 / 3
_MOMENTUM = 0.9
_BETAS = {"adam": (0.5, 0.999)}
"""Moments of Adam where they are not the usual ones, by plan."""
_DROPS = 6
"""Parts of training after each of which the plan `sgd` divides its rate by ten."""
_POWER = 0.95
_SGD_RATE = 10.0
"""Rate of stochastic gradients, in rates of Adam."""


def phase_at(plan: PlanConfig, progress: float) -> Phase:
    """Return the optimiser in use when a share `progress` of training is done."""
    match plan.optimiser:
        case "adamw" | "sgd":
            return plan.optimiser
        case "adam" | "polynomial":
            return "adam"
        case "paper":
            return "adam" if progress < _ADAM_SHARE else "sgd"


def rate_at(plan: PlanConfig, progress: float) -> float:
    """Return the learning rate when a share `progress` of training, 0 to 1, is done."""
    rise = _RISE[plan.optimiser]
    if progress < rise:
        return plan.rate * (progress + 0.01 * rise) / (1.01 * rise)
    match plan.optimiser:
        case "adamw":
            return _cosine(plan.rate, plan.rate / 100, (progress - rise) / (1 - rise))
        case "adam":
            return plan.rate
        case "sgd":
            return plan.rate / math.pow(10, min(int(_DROPS * progress), _DROPS - 1))
        case "polynomial":
            return plan.rate * math.pow(max(1 - progress, 0), _POWER)
        case "paper":
            if phase_at(plan, progress) == "adam":
                return _cosine(plan.rate, plan.rate / 10, (progress - rise) / (_ADAM_SHARE - rise))
            highest = _SGD_RATE * plan.rate
            return _cosine(highest, highest / 100, (progress - _ADAM_SHARE) / (1 - _ADAM_SHARE))


def make_optimiser(plan: PlanConfig, phase: Phase, model: nn.Module) -> torch.optim.Optimizer:
    """Make the optimiser of a phase; only kernels decay."""
    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match phase:
        case "adamw":
            return torch.optim.AdamW(groups, lr=plan.rate)
        case "adam":
            return torch.optim.Adam(groups, lr=plan.rate, betas=_BETAS.get(plan.optimiser, (0.9, 0.999)))
        case "sgd":
            return torch.optim.SGD(groups, lr=plan.rate, momentum=_MOMENTUM)


def _cosine(high: float, low: float, share: float) -> float:
    """Fall from one value to the other."""
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
