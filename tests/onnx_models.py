"""Small models in the form that Groundshift runs, whose answers follow from how they are made."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CALIBRATION = {"slope": 1.0, "intercept": 0.0, "least_score": 0.5}


def save(path, nodes, inputs, outputs, constants, metadata):
    """Write a model from its parts."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return Path(path)


def metadata_of(drawn, **changes):
    """What the metadata of a model must hold; None takes an entry away."""
    entries = {"groundshift.kind": drawn, "groundshift.calibration": CALIBRATION, "groundshift.name": f"tiny {drawn}"}
    entries |= {f"groundshift.{name}": value for name, value in changes.items()}
    return {name: value for name, value in entries.items() if value is not None}


def write_random(path, *, seed=0, reach=2, pad=None, rows="y", channels=8, outputs=("body", "offset"), **changes):
    """One convolution of random weights over `reach` nodes each way for every output of a model that draws bodies."""
    rng = np.random.default_rng(seed)
    nodes, constants = [], {}
    sizes = dict(zip(outputs, (1, 2), strict=False))
    for name, size in sizes.items():
        side = 2 * reach + 1
        constants[f"{name}_w"] = (rng.standard_normal((size, channels, side, side)) / side).astype(np.float32)
        raw = name if name == "offset" else f"{name}_raw"
        nodes.append(helper.make_node("Conv", ["planes", f"{name}_w"], [raw], pads=[reach if pad is None else pad] * 4))
        if name != "offset":
            nodes.append(helper.make_node("Sigmoid", [raw], [name]))
    shapes = {name: ["n", size, None, None] for name, size in sizes.items()}
    return save(
        path, nodes, {"planes": ["n", channels, rows, "x"]}, shapes, constants, metadata_of("bodies", **changes)
    )


def write_significant(path, *, threshold=4.0, **changes):
    """A model that draws a body of up to nine nodes around every peak of significance.

    Probabilities are the logistic of the root mean square of both significances over 5 x 5 nodes above `threshold`;
    every node votes for itself.
    """
    pool = {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}
    nodes = [
        helper.make_node("Slice", ["planes", "zero", "two", "one"], ["significance"]),
        helper.make_node("Mul", ["significance", "significance"], ["square"]),
        helper.make_node("ReduceSum", ["square", "one"], ["sum"], keepdims=1),
        helper.make_node("AveragePool", ["sum"], ["mean"], **pool),
        helper.make_node("Sqrt", ["mean"], ["root"]),
        helper.make_node("Sub", ["root", "threshold"], ["above"]),
        helper.make_node("Sigmoid", ["above"], ["body"]),
        helper.make_node("Mul", ["significance", "nothing"], ["offset"]),
    ]
    constants = {
        "zero": np.array([0]), "one": np.array([1]), "two": np.array([2]),
        "threshold": np.float32(threshold), "nothing": np.float32(0),
    }  # fmt: skip
    outputs = {"body": ["n", 1, "y", "x"], "offset": ["n", 2, "y", "x"]}
    return save(path, nodes, {"planes": ["n", 8, "y", "x"]}, outputs, constants, metadata_of("bodies", **changes))


def write_boxes(path, *, half=3, **changes):
    """A model that answers with a box of 2 x `half` + 1 nodes around every node, scored by its absolute gradient."""
    nodes = [
        helper.make_node("Shape", ["gradient"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.int64))),
        helper.make_node("NonZero", ["ones"], ["indices"]),
        helper.make_node("Gather", ["indices", "order"], ["places"], axis=0),
        helper.make_node("Transpose", ["places"], ["rows"], perm=[1, 0]),
        helper.make_node("Cast", ["rows"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["numbers", "edges"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "zero"], ["boxes"]),
        helper.make_node("Abs", ["gradient"], ["size"]),
        helper.make_node("Reshape", ["size", "one_row"], ["scores"]),
    ]
    constants = {
        "order": np.array([3, 2, 3, 2]),
        "edges": np.array([-half, -half, half + 1, half + 1], np.float32),
        "zero": np.array([0]),
        "one_row": np.array([1, -1]),
    }
    outputs = {"boxes": [1, "m", 4], "scores": [1, "m"]}
    return save(path, nodes, {"gradient": ["n", 1, "y", "x"]}, outputs, constants, metadata_of("boxes", **changes))
