"""Errors of laying images over each other on the ground: each names the thing and what mends it."""

from groundshift.errors import GroundshiftError

__all__ = ["DemCoverageError", "OppositeLookError", "OrbitTooShortError", "OtherPlaceError", "RegistrationError"]


class DemCoverageError(GroundshiftError, ValueError):
    """The DEM does not cover the image."""


class OppositeLookError(GroundshiftError, ValueError):
    """Two images look at the ground from different sides."""


class OrbitTooShortError(GroundshiftError, ValueError):
    """The state vectors end before the image does."""


class OtherPlaceError(GroundshiftError, ValueError):
    """An image does not show the ground that it was given for."""


class RegistrationError(GroundshiftError, ValueError):
    """Too few places match to say how an image lies over another one, or over the DEM."""
