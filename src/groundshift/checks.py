"""Checks of arguments: each names the argument, what was expected and what was received."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_complex", "check_positive", "check_shape", "check_within"]


def check_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `array` has exactly `shape`."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, instead got {array.shape}")


def check_complex(name: str, array: NDArray[Any]) -> None:
    """Raise TypeError unless `array` is complex-valued."""
    if not np.iscomplexobj(array):
        raise TypeError(f"{name} must be complex-valued, instead got {array.dtype}")


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a positive, finite number."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, instead got {value}")


def check_within(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless `low` <= `value` <= `high`."""
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], instead got {value}")
