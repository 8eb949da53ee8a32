"""The unwrapper for sites of mining subsidence: it follows fringes, and a network goes before it."""

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.bowl_network import BowlNetwork
from groundshift.errors import DamagedFileError, MissingFileError, UnknownFormatError
from groundshift.unwrap import Guided, Unwrapper
from groundshift.workflows.config import SettingError

__all__ = ["load_bowl_network", "with_foresight"]


def load_bowl_network(model: str, option: str) -> BowlNetwork:
    """Load a network for mining subsidence; errors begin with the `option` that names it.

    Raises
    ------
    MissingFileError, DamagedFileError, UnknownFormatError
        If there is no such model, or it is not one.
    """
    try:
        return BowlNetwork.load(model)
    except (MissingFileError, DamagedFileError, UnknownFormatError) as error:
        raise type(error)(f"{option}: {error}") from error


def with_foresight(unwrapper: Unwrapper, model: str) -> Unwrapper:
    """Let an unwrapper follow steep fringes, with what a network for mining subsidence foresees.

    Parameters
    ----------
    unwrapper : Unwrapper
    model : str
        Name of a shipped model, an `.onnx` file, or `none`: the filter alone.

    Raises
    ------
    GroundshiftError
        If there is no such model, or it does not unwrap.
    """
    if model == "none":
        return Guided(unwrapper, None, f"fringes+{unwrapper.name}")
    network = load_bowl_network(model, "--foresight")
    if network.kind == "footprint":
        raise SettingError(f"--foresight: {model} finds bowls but does not unwrap; choose bowlnet, punet or none")

    def foresee(wrapped: NDArray[np.float32], coherence: NDArray[np.float32]) -> NDArray[np.float32]:
        phase = network.look(wrapped, coherence).phase
        assert phase is not None
        return phase

    # A model that was trained further has the same name, but not the same answers.
    return Guided(unwrapper, foresee, f"{network.name}-{network.checksum[:8]}+{unwrapper.name}")
