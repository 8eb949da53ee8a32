import io
import math
import zipfile
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from affine import Affine
from matplotlib.image import imread
from shapely import MultiPolygon, Polygon, box

from groundshift.inventory.kmz import Overlay, velocity_colour, velocity_limit, write_kmz
from groundshift.types import MapGrid

KML = {"k": "http://www.opengis.net/kml/2.2"}
GRID = MapGrid((3, 4), Affine(0.01, 0, 101.9, 0, -0.01, 30.9), "EPSG:4326")


def opened(path):
    archive = zipfile.ZipFile(path)
    return ET.fromstring(archive.read("doc.kml")), archive


def placemarks(root):
    return {p.find("k:name", KML).text: p for p in root.iter(f"{{{KML['k']}}}Placemark")}


def ring(element):
    return [tuple(float(v) for v in point.split(",")[:2]) for point in element.text.split()]


def colour_of(root, placemark):
    """Red, green and blue of the fill; KML writes them backwards after the alpha."""
    style = root.find(f".//k:Style[@id='{placemark.find('k:styleUrl', KML).text[1:]}']", KML)
    code = style.find("k:PolyStyle/k:color", KML).text
    return tuple(int(code[i : i + 2], 16) for i in (6, 4, 2))


def test_polygons_and_holes_are_drawn_where_they_are(tmp_path, target):
    holed = Polygon(box(0, 0, 3, 3).exterior, [box(1, 1, 2, 2).exterior])
    shapes = {"simple": box(102, 30, 103, 31), "double": MultiPolygon([box(0, 0, 1, 1), holed])}
    write_kmz(tmp_path / "a.kmz", [replace(target(), id=n, geometry=g) for n, g in shapes.items()])
    marks = placemarks(opened(tmp_path / "a.kmz")[0])
    assert set(marks) == set(shapes)
    for name, shape in shapes.items():
        drawn = []
        for polygon in marks[name].iter(f"{{{KML['k']}}}Polygon"):
            outer = ring(polygon.find("k:outerBoundaryIs/k:LinearRing/k:coordinates", KML))
            inner = [ring(c) for c in polygon.findall("k:innerBoundaryIs/k:LinearRing/k:coordinates", KML)]
            drawn.append(Polygon(outer, inner))
        assert MultiPolygon(drawn).equals(shape)


def test_what_people_wrote_cannot_break_the_balloon(tmp_path, target):
    note = "<script>alert('x')</script> & ]]> <![CDATA[ \x00\x0b 裂缝"
    write_kmz(tmp_path / "a.kmz", [replace(target(), id="a<b>&", note=note)])
    root, _ = opened(tmp_path / "a.kmz")
    (mark,) = placemarks(root).values()
    assert mark.find("k:name", KML).text == "a<b>&"
    balloon = mark.find("k:description", KML).text
    table = ET.fromstring(balloon.partition("<p>")[0])  # well-formed, and no element of the note's own
    assert {e.tag for e in table.iter()} == {"table", "tr", "td", "b"}
    told = {"".join(r[0].itertext()): r[1].text for r in table}
    assert told["Note"] == "<script>alert('x')</script> & ]]> <![CDATA[  裂缝"
    assert told["Velocity, line of sight"] == "-20.0 ± 2.0 mm/yr"
    assert told["Velocity, down the slope"] == "unknown"
    assert told["Area"] == "36.0 ha"


def test_colours_follow_the_velocity(tmp_path, target):
    speeds = {"away": -40.0, "slow": -4.0, "still": 0.0, "towards": 40.0, "unknown": math.nan}
    write_kmz(tmp_path / "a.kmz", [replace(target(), id=n, velocity_los_mm_yr=v) for n, v in speeds.items()])
    root, _ = opened(tmp_path / "a.kmz")
    colours = {name: colour_of(root, mark) for name, mark in placemarks(root).items()}
    red = {name: c[0] - c[2] for name, c in colours.items()}
    assert red["away"] > red["slow"] > red["still"] > red["towards"]
    assert red["away"] > 50
    assert red["towards"] < -50
    assert abs(red["still"]) <= 2
    assert len(set(colours["unknown"])) == 1


def test_velocity_colours_are_bounded_and_symmetric_about_white():
    assert velocity_colour(-99.0, 50.0) == velocity_colour(-50.0, 50.0)
    assert min(velocity_colour(0.0, 50.0)) > 0.95
    assert velocity_colour(math.nan, 50.0) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("speeds", "limit"),
    [([], 10.0), ([1.0], 10.0), ([-10.0], 10.0), ([11.0], 20.0), ([-51.0], 100.0), ([math.nan], 10.0)],
)
def test_the_scale_ends_at_a_round_number(speeds, limit):
    assert velocity_limit(speeds) == limit


def test_rejected_targets_are_hidden_in_a_folder_of_their_own(tmp_path, target):
    kinds = [
        replace(target(), id="a"),
        replace(target(), id="b", kind="uplift"),
        replace(target(), id="c", review="rejected"),
    ]
    write_kmz(tmp_path / "a.kmz", kinds)
    root, _ = opened(tmp_path / "a.kmz")
    folders = {
        f.find("k:name", KML).text: [
            (p.find("k:name", KML).text, p.find("k:visibility", KML).text) for p in f.findall("k:Placemark", KML)
        ]
        for f in root.iter(f"{{{KML['k']}}}Folder")
    }
    assert folders == {"Landslide": [("a", "1")], "Uplift": [("b", "1")], "Rejected": [("c", "0")]}


def test_a_map_lies_at_its_outer_corners_and_is_clear_where_nothing_is_known(tmp_path):
    values = np.array([[-4, 0, 4, np.nan], [0, 0, 0, 0], [np.nan, -9, 9, 1]], np.float32)
    write_kmz(tmp_path / "a.kmz", [], [Overlay("gradient <range>", values, GRID, limit=4.0, visible=True)])
    root, archive = opened(tmp_path / "a.kmz")
    overlay = root.find(".//k:GroundOverlay", KML)
    assert overlay.find("k:name", KML).text == "gradient <range>"
    edges = {e.tag.partition("}")[2]: float(e.text) for e in overlay.find("k:LatLonBox", KML)}
    assert edges.pop("rotation", 0.0) == 0.0
    assert edges == pytest.approx({"west": 101.9, "east": 101.94, "south": 30.87, "north": 30.9})
    image = imread(io.BytesIO(archive.read(overlay.find("k:Icon/k:href", KML).text)))
    assert image.shape == (3, 4, 4)
    np.testing.assert_array_equal(image[..., 3] > 0, np.isfinite(values))
    red = image[..., 0] - image[..., 2]
    assert red[0, 0] > 0.2 > -0.2 > red[0, 2]
    np.testing.assert_array_equal(image[2, 1], image[0, 0])  # beyond the limit the colour stays


def test_a_map_that_counts_rows_from_the_south_is_turned(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4) - 6
    south_up = MapGrid((3, 4), Affine(0.01, 0, 101.9, 0, 0.01, 30.87), "EPSG:4326")
    write_kmz(tmp_path / "a.kmz", [], [Overlay("down", values, GRID), Overlay("up", values[::-1], south_up)])
    root, archive = opened(tmp_path / "a.kmz")
    first, second = root.findall(".//k:GroundOverlay", KML)
    images = [archive.read(o.find("k:Icon/k:href", KML).text) for o in (first, second)]
    assert images[0] == images[1]
    for edge in ("north", "south", "west", "east"):
        a, b = (float(o.find(f"k:LatLonBox/k:{edge}", KML).text) for o in (first, second))
        assert a == pytest.approx(b)


def test_a_png_goes_in_as_it_is_and_a_legend_comes_with_it(tmp_path):
    png = b"\x89PNG\r\n\x1a\nrest"
    write_kmz(tmp_path / "a.kmz", [], [Overlay("map", png, GRID)])
    root, archive = opened(tmp_path / "a.kmz")
    assert archive.read(root.find(".//k:GroundOverlay/k:Icon/k:href", KML).text) == png
    legend = imread(io.BytesIO(archive.read(root.find(".//k:ScreenOverlay/k:Icon/k:href", KML).text)))
    assert legend[..., :3].std() > 0.05
    assert archive.namelist()[0] == "doc.kml"


def test_a_large_map_is_thinned(tmp_path):
    grid = MapGrid((2, 9000), Affine(1e-4, 0, 100, 0, -1e-4, 30), "EPSG:4326")
    write_kmz(tmp_path / "a.kmz", [], [Overlay("wide", np.ones((2, 9000), np.float32), grid)])
    root, archive = opened(tmp_path / "a.kmz")
    overlay = root.find(".//k:GroundOverlay", KML)
    assert imread(io.BytesIO(archive.read(overlay.find("k:Icon/k:href", KML).text))).shape == (1, 3000, 4)
    assert float(overlay.find("k:LatLonBox/k:east", KML).text) == pytest.approx(100.9)


@pytest.mark.parametrize(
    ("image", "grid", "message"),
    [
        (np.zeros((2, 2)), GRID, r"image of overlay 'm' must have shape \(3, 4\), instead got \(2, 2\)"),
        (b"GIF89a", GRID, "image of overlay 'm' must be a PNG, instead got other bytes"),
        (
            np.zeros((3, 4)),
            MapGrid((3, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32648"),
            "grid of overlay 'm' must be in EPSG:4326, instead got EPSG:32648",
        ),
    ],
)
def test_refuses_a_map_that_does_not_fit(tmp_path, image, grid, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        write_kmz(tmp_path / "a.kmz", [], [Overlay("m", image, grid)])
    assert not (tmp_path / "a.kmz").exists()


def test_refuses_another_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"^path must end in \.kmz, instead got "):
        write_kmz(tmp_path / "a.kml", [])
