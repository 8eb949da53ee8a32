"""Scenes with known truth: terrain, slides, atmosphere and decorrelation, seen by a radar satellite."""

from groundshift.simulate.config import SceneConfig
from groundshift.simulate.decorrelation import Cover, Decay
from groundshift.simulate.scene import Scene, simulate_scene, to_stack
from groundshift.simulate.slides import Slide
from groundshift.simulate.write import write_scene

__all__ = ["Cover", "Decay", "Scene", "SceneConfig", "Slide", "simulate_scene", "to_stack", "write_scene"]
