"""Which reader of single-look images is asked, and what is said where none can be."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.products_slc import geotiff, opera
from tests.products_slc.scene import make_slc_scene

from groundshift.errors import MissingFileError, NoDataError, UnknownFormatError
from groundshift.io import holds_slcs, open_slcs
from groundshift.io.open_slcs import SLC_READERS

SCENE = make_slc_scene("EPSG:32648", (20, 18))
NAMES = ", ".join(reader.PRODUCT for reader in SLC_READERS)


def test_product_is_recognised(tmp_path: Path) -> None:
    for writer in (opera, geotiff):
        folder = tmp_path / writer.NAME
        folder.mkdir()
        (stack,) = open_slcs(str(writer.write(folder, SCENE)))
        assert stack.product == writer.NAME
        assert holds_slcs(str(folder))


def test_reader_may_be_named(tmp_path: Path) -> None:
    """A folder that holds two products is read as the one asked for."""
    opera.write(tmp_path, SCENE)
    geotiff.write(tmp_path, SCENE)
    assert [open_slcs(tmp_path, product=name)[0].product for name in ("geotiff", "opera")] == ["geotiff", "opera"]


def test_plain_rasters_are_asked_last() -> None:
    assert SLC_READERS[-1].PRODUCT == "geotiff"


def test_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    assert not holds_slcs(path)
    with pytest.raises(MissingFileError) as caught:
        open_slcs(path)
    assert str(caught.value) == f"{path}: no such file or folder; check the spelling"


def test_unknown_name_of_a_reader_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError) as caught:
        open_slcs(tmp_path, product="roipac")
    assert str(caught.value) == f"unknown format 'roipac' of single-look images; choose one of: {NAMES}"


def test_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(NoDataError) as caught:
        open_slcs(tmp_path)
    assert str(caught.value) == f"{tmp_path}: the folder is empty; give the folder that holds the images"


def test_folder_of_something_else_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("20180702")
    with pytest.raises(UnknownFormatError) as caught:
        open_slcs(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no known product of single-look images here; --format takes one of: {NAMES}"
    )


def test_one_file_is_one_image(tmp_path: Path) -> None:
    opera.write(tmp_path, replace(SCENE, layers=SCENE.layers[:1]))
    (file,) = tmp_path.glob("*CSLC-S1_*")
    assert holds_slcs(file)
    with pytest.raises(NoDataError, match="1 usable image of T144-308029-IW1, 2 are needed"):
        open_slcs(file)
