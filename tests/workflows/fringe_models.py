"""Fringe classifiers whose answer is known: the share of a cell whose phase lies beyond 1 rad, as probability."""

import json
import warnings

import onnx
import torch

SIDE, STEP = 150, 10


class Known(torch.nn.Module):
    """Mean over the cell in the middle of the window of how far the phase exceeds 1 rad, made steep."""

    def forward(self, interferogram):
        beyond = ((interferogram[:, :1].abs() > 1) & (interferogram[:, 1:] > 0)).to(interferogram.dtype)
        inner = beyond[:, :, 70:-70, 70:-70]
        return torch.nn.functional.avg_pool2d(inner, STEP, STEP)


def write_known(path, *, free=True, kind="fringes", output="score"):
    """Write the model: of any size, or for single windows."""
    free_axes = {"interferogram": {0: "batch"}, output: {0: "batch"}}
    if free:
        free_axes["interferogram"] |= {2: "rows", 3: "columns"}
        free_axes[output] |= {2: "cell_rows", 3: "cell_columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Known().eval(), (torch.zeros(1, 2, SIDE, SIDE),), path, input_names=["interferogram"],
            output_names=[output], opset_version=18, dynamo=False, dynamic_axes=free_axes,
        )  # fmt: skip
    model = onnx.load(path)
    told = {"groundshift.kind": kind, "groundshift.planes": json.dumps(["wrapped", "coherence"])}
    onnx.helper.set_model_props(model, {**told, "groundshift.name": "known"})
    onnx.save(model, path)
    return path
