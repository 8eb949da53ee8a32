"""Scenes with known truth: terrain, slides, atmosphere and decorrelation, seen by a radar satellite.

The parts are loaded when they are first asked for, so that a scene can be configured without what simulates it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundshift.simulate.config import SceneConfig
    from groundshift.simulate.decay import Decay
    from groundshift.simulate.decorrelation import Cover
    from groundshift.simulate.scene import Scene, simulate_scene, to_stack
    from groundshift.simulate.slides import Slide
    from groundshift.simulate.write import write_scene

__all__ = ["Cover", "Decay", "Scene", "SceneConfig", "Slide", "simulate_scene", "to_stack", "write_scene"]

_HOMES = {
    "SceneConfig": "config",
    "Cover": "decorrelation",
    "Decay": "decay",
    "Scene": "scene",
    "simulate_scene": "scene",
    "to_stack": "scene",
    "Slide": "slides",
    "write_scene": "write",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
