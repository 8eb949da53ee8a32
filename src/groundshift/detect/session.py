"""Model files at work: ONNX Runtime, which loads slowly and is loaded only where there is a network to run."""

from pathlib import Path
from typing import Any

from groundshift.errors import UnknownFormatError

__all__ = ["open_session", "wrong_model"]


def open_session(path: Path, threads: int | None) -> Any:
    """Open a model on the GPU if this build of ONNX Runtime knows one, else on the CPU."""
    import onnxruntime  # noqa: PLC0415  (loads slowly, and the rules need none)

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    wanted = [
        p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in onnxruntime.get_available_providers()
    ]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except MemoryError:
        raise
    except Exception as error:  # Those of ONNX Runtime have no parent of their own.
        raise wrong_model(path, f"ONNX Runtime cannot read it: {error}") from error


def wrong_model(path: Path, reason: str) -> UnknownFormatError:
    """Say in one line why a file is no model for Groundshift."""
    return UnknownFormatError(
        f"{path}: not a model for Groundshift ({' '.join(reason.split())}); export it with `groundshift train`"
    )
