"""Phase unwrapping behind one protocol."""

from groundshift.unwrap.unwrapper import (
    UNWRAPPERS,
    Snaphu,
    Unwrapped,
    Unwrapper,
    UnwrappingError,
    Whirlwind,
    choose_unwrapper,
)

__all__ = ["UNWRAPPERS", "Snaphu", "Unwrapped", "Unwrapper", "UnwrappingError", "Whirlwind", "choose_unwrapper"]
