"""Weights of an exported model, taken back into a network that goes on learning.

An exported file has no norms that follow a convolution: they are folded into it. The network is therefore exported
once more, with marks for weights, which shows where each weight of the file belongs. Norms that are folded begin as
ones that do nothing; `settle_norms` gives them the statistics of what they see, so that they go on doing nothing when
the network learns.
"""

import copy
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray
from torch import Tensor, nn

from groundshift.errors import UnknownFormatError
from groundshift.training.export import ExportError, compare, write_traced
from groundshift.training.protocols import Exportable

__all__ = ["settle_norms", "take_weights"]

_ROUNDING = 1e-5
"""Relative: what folding makes of a mark differs so much at most."""

Array = NDArray[np.float32]


class _Folded(NamedTuple):
    """A convolution and the norm that is folded into it, by their names."""

    convolution: str
    norm: str
    eps: float
    """Of the norm."""


def take_weights(task: Exportable, model: nn.Module, path: Path) -> list[str]:
    """Give a network the weights of an exported one, in place; it then computes what the file does.

    Parameters
    ----------
    task : Exportable
        What the network does.
    model : nn.Module
        On the CPU, of the same architecture.
    path : path
        ONNX file that `export_onnx` wrote.

    Returns
    -------
    list of str
        Names of the norms that were folded, for `settle_norms`.

    Raises
    ------
    UnknownFormatError
        If the file is of another network.
    """
    marked = copy.deepcopy(model)
    _mark(marked)
    with tempfile.TemporaryDirectory() as folder:
        write_traced(task, marked, Path(folder) / "marked.onnx")
        places = _arrays(Path(folder) / "marked.onnx")
    given = _arrays(path)
    if {n: v.shape for n, v in places.items()} != {n: v.shape for n, v in given.items()}:
        raise _other(path)
    marks = {name: value.numpy() for name, value in marked.state_dict().items() if value.is_floating_point()}
    folded: list[_Folded] = []
    state = model.state_dict()
    left = []
    for name, mark in places.items():
        found = _named(mark, marks)
        if found is not None:
            _put(state[found], given[name])
            continue
        pair = _folding(mark, marked, marks)
        if pair is None:
            left.append(name)
            continue
        _put(state[f"{pair.convolution}.weight"], given[name])
        folded.append(pair)
    for name in left:
        pair = next((p for p in folded if _alike(places[name], _offset(p, marks))), None)
        if pair is not None:
            _undo(state, pair, given[name])
        elif not np.array_equal(places[name], given[name]):
            raise _other(path)
    try:
        compare(task, task.exported(model).eval(), path, path)
    except ExportError as error:
        raise _other(path) from error
    return [pair.norm for pair in folded]


@torch.no_grad()
def settle_norms(model: nn.Module, names: Iterable[str], look: Callable[[], None]) -> None:
    """Give norms that do nothing the statistics of what they see; what the network computes stays the same.

    Parameters
    ----------
    model : nn.Module
    names : iterable of str
        Of its norms, as `take_weights` returns them.
    look : function
        Runs the network, ready for use, over what it is to learn from.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in names}
    parts = dict(model.named_modules())

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
            values = inputs[0].double().transpose(0, 1).flatten(1)
            seen[name].append(torch.stack([values.mean(1), (values**2).mean(1)]))

        return keep

    hooks = [parts[name].register_forward_pre_hook(watch(name)) for name in seen]
    try:
        look()
    finally:
        for hook in hooks:
            hook.remove()
    for name, sums in seen.items():
        norm = parts[name]
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, square = torch.stack(sums).mean(0)
        spread = (square - mean**2).clamp(min=norm.eps)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(spread)
        norm.weight.copy_((spread + norm.eps).sqrt())
        norm.bias.add_(mean)


def _mark(model: nn.Module) -> None:
    """Give all weights values that occur once."""
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.rand(value.shape, generator=generator) + 0.5
            value.copy_(drawn if name.endswith("running_var") else drawn * (torch.rand((), generator=generator) + 0.5))


def _arrays(path: Path) -> dict[str, Array]:
    """Return the weights that a file holds, by name; constants of its graph are not among them."""
    found: dict[str, Array] = {}
    for array in _loaded(path).graph.initializer:
        # Those without a name of their own are numbered as all else in the file is.
        name = f"{len(found)}" if array.name.startswith("onnx::") else array.name
        try:
            found[name] = np.asarray(onnx.numpy_helper.to_array(array))
        except (TypeError, ValueError) as error:
            raise _other(path) from error
    return found


def _loaded(path: Path) -> onnx.ModelProto:
    """Read a file, without others that it names."""
    try:
        return onnx.load(path, load_external_data=False)
    except (DecodeError, OSError) as error:
        raise UnknownFormatError(f"{path}: not an ONNX file; give a model that training has exported") from error


def _named(mark: Array, marks: dict[str, Array]) -> str | None:
    """Return the weight that stands in a file as it is."""
    return next((n for n, v in marks.items() if v.size == mark.size and _same(mark, v)), None)


def _same(mark: Array, value: Array) -> bool:
    """Whether an array is a weight, matrices turned over or not."""
    return (
        np.array_equal(mark, value.reshape(mark.shape))
        if mark.ndim != 2 or value.ndim != 2
        else (np.array_equal(mark, value) or np.array_equal(mark, value.T))
    )


def _put(target: Tensor, value: Array) -> None:
    """Write a weight."""
    source = torch.from_numpy(np.array(value))
    turned = target.ndim == 2 and source.ndim == 2 and target.shape != source.shape
    target.copy_((source.T if turned else source).reshape(target.shape))


def _folding(mark: Array, marked: nn.Module, marks: dict[str, Array]) -> _Folded | None:
    """Return the convolution and the norm that an array is made of."""
    for name, part in marked.named_modules():
        if not isinstance(part, nn.Conv2d) or tuple(part.weight.shape) != mark.shape:
            continue
        ratio = mark / marks[f"{name}.weight"]
        scale = ratio.reshape(len(ratio), -1)[:, 0]
        if not _alike(ratio, np.broadcast_to(scale[:, None, None, None], ratio.shape)):
            continue
        for other, norm in marked.named_modules():
            if isinstance(norm, nn.BatchNorm2d) and norm.num_features == len(scale):
                pair = _Folded(name, other, norm.eps)
                if _alike(scale, _scale(pair, marks)):
                    return pair
    return None


def _scale(pair: _Folded, marks: dict[str, Array]) -> Array:
    """Return what a norm multiplies by."""
    return np.asarray(marks[f"{pair.norm}.weight"] / np.sqrt(marks[f"{pair.norm}.running_var"] + pair.eps))


def _offset(pair: _Folded, marks: dict[str, Array]) -> Array:
    """Return what is added after a convolution with a norm folded into it."""
    own = marks.get(f"{pair.convolution}.bias", np.float32(0))
    mean = marks[f"{pair.norm}.running_mean"]
    return np.asarray((own - mean) * _scale(pair, marks) + marks[f"{pair.norm}.bias"])


def _undo(state: dict[str, Tensor], pair: _Folded, offset: Array) -> None:
    """Leave a norm that adds an offset and does nothing else."""
    state[f"{pair.norm}.weight"].fill_(1)
    state[f"{pair.norm}.running_mean"].zero_()
    state[f"{pair.norm}.running_var"].fill_(1 - pair.eps)
    _put(state[f"{pair.norm}.bias"], offset)
    if f"{pair.convolution}.bias" in state:
        state[f"{pair.convolution}.bias"].zero_()


def _alike(one: Array, other: Array) -> bool:
    """Whether two arrays differ by rounding only."""
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING))


def _other(path: Path) -> UnknownFormatError:
    """Say which network a file is of."""
    told = {entry.key: entry.value for entry in _loaded(path).metadata_props}.get("groundshift.config", "")
    try:
        model = json.loads(told)["model"]
        network = f"{model['network']} of width {model['width']}"
    except (ValueError, TypeError, KeyError):
        return UnknownFormatError(f"{path}: no model that training has exported; give one, or a checkpoint")
    return UnknownFormatError(f"{path}: holds weights of {network}; give its --network and --width")
