"""Detectors of moving ground, and the screening of what they find."""

from groundshift.detect.detection import Detection
from groundshift.detect.outline import outline, score_of, to_detection
from groundshift.detect.rules import Body, Rules, find_bodies
from groundshift.detect.screen import Screen, steep_share

__all__ = [
    "Body",
    "Detection",
    "Rules",
    "Screen",
    "find_bodies",
    "outline",
    "score_of",
    "steep_share",
    "to_detection",
]
