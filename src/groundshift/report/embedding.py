"""Things set into a page: JSON, pictures and scripts, in a form that no text from a file can break out of."""

import base64
import hashlib
import json

from markupsafe import Markup

__all__ = ["data_uri", "no_end_tag", "script_digest", "to_json"]


def to_json(value: object) -> Markup:
    """Write JSON that can stand inside a script element whatever text it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def script_digest(text: str) -> str:
    """Return the hash by which a content security policy knows a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def no_end_tag(text: str) -> str:
    """Keep a script from ending its own element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
