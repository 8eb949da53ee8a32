"""The error family of Groundshift.

Each condition a user can cause has its own type, which is also a familiar built-in. The message is one line that
names the thing and the remedy; the command line prints it as it stands and exits with 1.
"""

__all__ = [
    "DamagedFileError",
    "DisconnectedNetworkError",
    "GroundshiftError",
    "MissingFileError",
    "NoDataError",
    "OutputError",
    "ProductError",
    "UnknownFormatError",
]


class GroundshiftError(Exception):
    """Any condition that stops a run and that its user can mend."""


class UnknownFormatError(GroundshiftError, ValueError):
    """No reader recognises what was given."""


class MissingFileError(GroundshiftError, FileNotFoundError):
    """A file that a product or a command needs is not there."""


class DamagedFileError(GroundshiftError, OSError):
    """A file is truncated or cannot be decoded."""


class ProductError(GroundshiftError, ValueError):
    """A product contradicts itself: grids that differ, dates the wrong way round, a pair given twice."""


class NoDataError(GroundshiftError, ValueError):
    """Nothing usable is left to work on."""


class DisconnectedNetworkError(GroundshiftError, ValueError):
    """The pairs do not connect all dates."""


class OutputError(GroundshiftError, OSError):
    """An output cannot be written: a full disk, a folder in use, no permission."""
