"""Speed of the shipped network: its share of a plain matrix product, and a province extrapolated from a burst.

    taskset -c 0,1 python benchmarks/network_speed.py [--model bodynet] [--turns 7]

Both rates are measured in turns in one run, so that what else the machine does falls on both, with a rest between: the
threads of each library go on waiting busily for a while and would take the cores from the other. The fastest turn of
each counts: whatever else runs on the machine only makes it slower. Arithmetic is counted from the network's
convolutions (two operations per multiplication and addition).
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime

from groundshift.detect.models import DEFAULT_MODEL, find_model
from groundshift.detect.network import NetworkDetector
from groundshift.detect.planes import PLANES

TILE = 512
BURST = (750, 2500)
"""Nodes of a Sentinel-1 burst at 2 x 8 looks, about 40 m."""
BURST_KM2 = BURST[0] * BURST[1] * 0.04**2 * 0.9
"""A tenth of a burst lies under its neighbours."""
PROVINCE_KM2 = 180_000
REST = 0.3
"""Seconds between two measurements."""


def operations(path: str, side: int) -> float:
    """Count the operations of all convolutions on a square tile."""
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info}
    shapes |= {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.output}
    weights = {w.name: list(w.dims) for w in inferred.graph.initializer}
    total = 0.0
    for node in inferred.graph.node:
        if node.op_type == "Conv":
            total += 2.0 * np.prod(weights[node.input[1]]) * np.prod(shapes[node.output[0]][2:])
    return total


def seconds(work: Callable[[], object]) -> float:
    """Time one call, when threads of the call before have gone to sleep."""
    time.sleep(REST)
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    detector = NetworkDetector.load(given.model, threads=threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(detector.path, options, providers=["CPUExecutionProvider"])

    def run() -> object:
        return session.run(None, {"planes": tile})

    rng = np.random.default_rng(0)
    a, b = rng.random((2, 3072, 3072), np.float32)
    tile = rng.normal(size=(1, len(PLANES), TILE, TILE)).astype(np.float32)
    tile[:, PLANES.index("known")] = 1
    work = operations(str(find_model(given.model)), TILE)
    np.matmul(a, b)
    run()
    turns = [(seconds(lambda: np.matmul(a, b)), seconds(run)) for _ in range(given.turns)]
    product, network = np.array(turns).T
    rate, own = 2 * len(a) ** 3 / product.min() / 1e9, work / network.min() / 1e9
    print(f"matrix product 3072 x 3072: {rate:.0f} GFLOP/s; network: {work / 1e9:.1f} GFLOP for {TILE} x {TILE} nodes")
    print(f"network: {own:.0f} GFLOP/s, {1 / network.min():.1f} tiles/s, share {own / rate:.2f}")
    planes = rng.normal(size=(len(PLANES), *BURST)).astype(np.float32)
    planes[PLANES.index("sigma_y") :] = np.abs(planes[PLANES.index("sigma_y") :])
    planes[PLANES.index("known")] = 1
    burst = min(seconds(lambda: detector.predict(planes)) for _ in range(2))
    hours = PROVINCE_KM2 / BURST_KM2 * 2 * burst / 3600
    print(f"burst of {BURST[0]} x {BURST[1]} nodes: {burst:.1f} s from planes to bodies")
    print(f"{PROVINCE_KM2:,} km2, two tracks, both directions at once: {hours:.2f} h for each time window")


if __name__ == "__main__":
    main()
