"""How QGIS draws the inventory when it opens it: targets coloured by kind."""

import sqlite3
from pathlib import Path
from xml.etree import ElementTree as ET

__all__ = ["KIND_COLOURS", "add_style", "qml"]

KIND_COLOURS = {
    "landslide": (200, 54, 44),
    "subsidence": (38, 102, 178),
    "uplift": (236, 151, 31),
    "unknown": (120, 120, 120),
}
"""Red, green and blue, 0 to 255."""

_STYLES = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), update_time DATETIME
)
"""


def qml() -> str:
    """Return the QGIS style of the layer `targets`: filled polygons, one colour per kind."""
    root = ET.Element("qgis", version="3.28.0", styleCategories="Symbology|Labeling")
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="kind", forceraster="0")
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, (kind, colour) in enumerate(KIND_COLOURS.items()):
        label = kind.capitalize()
        ET.SubElement(categories, "category", symbol=str(number), value=kind, label=label, render="true", type="string")
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1", clip_to_extent="1")
        layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        options = {
            "color": _rgba(colour, 90),
            "style": "solid",
            "outline_color": _rgba(colour, 255),
            "outline_style": "solid",
            "outline_width": "0.5",
            "outline_width_unit": "MM",
        }
        group = ET.SubElement(layer, "Option", type="Map")
        for name, value in options.items():
            ET.SubElement(group, "Option", type="QString", name=name, value=value)
            # QGIS before 3.26 reads these instead.
            ET.SubElement(layer, "prop", k=name, v=value)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ET.tostring(root, encoding="unicode")


def add_style(path: Path) -> None:
    """Store the default style in a GeoPackage, in the table that QGIS looks for.

    Raises
    ------
    sqlite3.Error
        If the file cannot be written.
    """
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(_STYLES)
            connection.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
                " styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', 'targets', 'geom', 'kind', ?,"
                " '', 1, 'Targets coloured by kind', '')",
                (qml(),),
            )
            connection.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES"
                " ('layer_styles', 'attributes', 'layer_styles')"
            )
    finally:
        connection.close()


def _rgba(colour: tuple[int, int, int], alpha: int) -> str:
    """Write a colour the way QGIS does."""
    return ",".join(str(part) for part in (*colour, alpha))
