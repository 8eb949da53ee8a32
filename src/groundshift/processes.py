"""Worker processes: one thread each, silent, and gone when their parent is."""

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["begin_worker", "one_thread_each"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Where libraries look for how many threads they may use."""


def begin_worker() -> None:
    """Set up a worker: one thread, no word of its own, and an end with the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch  # noqa: PLC0415  (only workers need it)

    torch.set_num_threads(1)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes that are started meanwhile compute with one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Leave when the process that started this one is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
