"""XML of products, read without document type definitions: no entity is expanded and nothing outside is fetched."""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from groundshift.errors import DamagedFileError, MissingFileError

__all__ = ["parse_xml"]


class _DoctypeError(Exception):
    """The file declares a document type."""


def parse_xml(path: Path) -> Element:
    """Return the root element of an XML file.

    Raises
    ------
    MissingFileError, DamagedFileError
        If the file is not there, is not well-formed, or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; restore it or remove its companions") from error
    except (expat.ExpatError, OSError) as error:
        raise DamagedFileError(f"{path}: truncated or not XML; fetch the file again") from error
    except _DoctypeError as error:
        raise DamagedFileError(
            f"{path}: declares a document type, which no product does; fetch the file again"
        ) from error
    root = builder.close()
    assert isinstance(root, Element)  # the parser has seen a whole document
    return root


def _refuse(*declaration: Any) -> None:
    """Stop at a document type definition, where entities would be declared."""
    raise _DoctypeError
