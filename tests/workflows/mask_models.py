"""A small model that masks, whose answers follow from how it is made."""

import numpy as np
from onnx import helper
from tests import onnx_models

PLANES = ["wrapped", "coherence", "amplitude"]


def write_mask_model(path, *, edge=0.5, kind="coherent", planes=PLANES, **changes):
    """A model by which ground is as likely coherent as the logistic of ten times coherence plus amplitude - `edge`."""
    nodes = [
        helper.make_node("Split", ["interferogram"], ["wrapped", "coherence", "amplitude"], axis=1, num_outputs=3),
        helper.make_node("Add", ["coherence", "amplitude"], ["sum"]),
        helper.make_node("Sub", ["sum", "edge"], ["above"]),
        helper.make_node("Mul", ["above", "ten"], ["steep"]),
        helper.make_node("Sigmoid", ["steep"], ["probability"]),
    ]
    return onnx_models.save(
        path, nodes, {"interferogram": ["n", 3, "y", "x"]}, {"probability": ["n", 1, "y", "x"]},
        {"edge": np.float32(edge), "ten": np.float32(10)}, onnx_models.metadata_of(kind, planes=planes, **changes),
    )  # fmt: skip
