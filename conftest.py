"""Where torch, or the clients of ASF and HyP3, are not installed, what needs them is not collected."""

from importlib.util import find_spec

collect_ignore_glob = (
    []
    if find_spec("torch")
    else [
        "src/groundshift/nets/*",
        "src/groundshift/simulate/batched/*",
        "src/groundshift/simulate/mining/*",
        "src/groundshift/simulate/segments/*",
        "src/groundshift/training/*",
        "src/groundshift/workflows/learning.py",
        "src/groundshift/workflows/simulating_segments.py",
        "src/groundshift/workflows/training*.py",
        "tests/nets/*",
        "tests/simulate/batched/*",
        "tests/training/*",
    ]
)
if not (find_spec("asf_search") and find_spec("hyp3_sdk")):
    collect_ignore_glob.append("src/groundshift/acquire/*")
