"""Small models for mining subsidence whose answers follow from how they are made."""

import numpy as np
from onnx import helper
from tests import onnx_models

TOLD = {"bowls": ("probability", "down", "right", "error"), "footprint": ("probability",), "unwrapped": ("phase",)}
"""What a model of each kind tells."""


def write_bowl_model(path, kind, *, edge=0.0, **changes):
    """A model that foresees the phase as it is wrapped, as likely as the logistic of ten times what exceeds `edge`."""
    made = {
        "probability": [
            ("Sub", ["wrapped", "edge"], "above"),
            ("Mul", ["above", "ten"], "steep"),
            ("Sigmoid", ["steep"]),
        ],
        "phase": [("Identity", ["wrapped"])],
        "down": [("Conv", ["wrapped", "to_next_row"], {"pads": [0, 0, 1, 0]})],
        "right": [("Conv", ["wrapped", "to_next_column"], {"pads": [0, 0, 0, 1]})],
        "error": [("Identity", ["coherence"])],
    }
    nodes = [helper.make_node("Split", ["interferogram"], ["wrapped", "coherence"], axis=1, num_outputs=2)]
    for name in TOLD[kind]:
        for operator, inputs, *more in made[name]:
            output = more[0] if more and isinstance(more[0], str) else name
            options = more[0] if more and isinstance(more[0], dict) else {}
            nodes.append(helper.make_node(operator, inputs, [output], **options))
    step = np.array([-1, 1], np.float32)
    constants = {
        "edge": np.float32(edge), "ten": np.float32(10), "to_next_row": step.reshape(1, 1, 2, 1),
        "to_next_column": step.reshape(1, 1, 1, 2),
    }  # fmt: skip
    used = {name for node in nodes for name in node.input}
    return onnx_models.save(
        path, nodes, {"interferogram": ["n", 2, "y", "x"]}, {name: ["n", 1, "y", "x"] for name in TOLD[kind]},
        {name: value for name, value in constants.items() if name in used},
        onnx_models.metadata_of(kind, planes=["wrapped", "coherence"], **changes),
    )  # fmt: skip
