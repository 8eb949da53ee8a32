"""Where torch is not installed, what needs it is not collected."""

from importlib.util import find_spec

collect_ignore_glob = (
    []
    if find_spec("torch")
    else [
        "src/groundshift/nets/*",
        "src/groundshift/simulate/batched/*",
        "src/groundshift/training/*",
        "src/groundshift/workflows/training.py",
        "tests/nets/*",
        "tests/simulate/batched/*",
        "tests/training/*",
    ]
)
