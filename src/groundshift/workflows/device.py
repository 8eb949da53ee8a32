"""Where torch computes."""

from groundshift.workflows.config import SettingError

__all__ = ["found_device"]


def found_device(name: str) -> str:
    """Return where to compute, after a look whether it is there; `auto` takes a GPU if there is one.

    Raises
    ------
    SettingError
        If there is no such device.
    """
    import torch  # noqa: PLC0415  (loads slowly, and usage errors need none)

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(f"--device: {name} is not there ({reason}); give auto or cpu") from error
    return name
