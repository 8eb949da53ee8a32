"""Which amplitude images a path holds."""

import pickle
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.io.amplitude_pass import NOON, orbit, picture
from tests.io.ceos_files import PALSAR_2
from tests.io.ceos_files import write as write_ceos
from tests.io.test_amplitudes_gamma import write as write_gamma

from groundshift.errors import MissingFileError, NoDataError, ProductError, UnknownFormatError
from groundshift.geometry.radar import RadarGeometry, SlantAxis
from groundshift.io.amplitudes import AMPLITUDE_READERS, holds_amplitudes, open_amplitudes
from groundshift.io.amplitudes_plain import write_plain

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


def write(path: Path, day: date, sensor: str = "radar") -> Path:
    geometry = RadarGeometry(orbit(), picture().shape, NOON, 4.7e-4, SlantAxis(750_000.0, 4.7), 0.236)
    write_plain(picture(), path, day, sensor, geometry)
    return path


def test_images_of_all_formats_come_by_day_and_sensor(tmp_path: Path) -> None:
    write(tmp_path / "plain" / "b.tif", date(2010, 2, 25))
    write(tmp_path / "plain" / "later" / "a.tif", date(2015, 7, 27))
    write_gamma(tmp_path / "gamma", "20100225.slc", sensor="S1A IW")
    write_ceos(tmp_path, PALSAR_2)
    found = open_amplitudes(tmp_path, strict=True)
    assert [(image.product, image.sensor, image.day.year) for image in found.images] == [
        ("ceos", "PALSAR-2", 2010),
        ("gamma", "Sentinel-1", 2010),
        ("plain", "radar", 2010),
        ("plain", "radar", 2015),
    ]
    assert found.problems == ()
    for image in found.images:
        rows = image.geometry.shape[0]
        np.testing.assert_allclose(image.read(), picture(rows), rtol=1e-6)


def test_images_may_be_sent_to_other_processes(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", date(2011, 2, 25))
    write_gamma(tmp_path, "20100225.slc")
    write_ceos(tmp_path, PALSAR_2)
    for image in open_amplitudes(tmp_path).images:
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).read(), image.read())


def test_one_format_may_be_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", date(2010, 2, 25))
    write_gamma(tmp_path, "20100225.slc")
    for product in ("plain", "gamma"):
        assert [image.product for image in open_amplitudes(tmp_path, product=product).images] == [product]
        assert holds_amplitudes(tmp_path, product)
    assert not holds_amplitudes(tmp_path, "ceos")
    line = "unknown format 'dimap' of amplitude images; choose one of: ceos, safe, gamma, plain"
    with pytest.raises(UnknownFormatError, match=f"^{re.escape(line)}$"):
        open_amplitudes(tmp_path, product="dimap")


def test_folders_are_searched_two_levels_down(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "here.tif", date(2010, 2, 25))
    write(tmp_path / "a" / "b" / "c" / "deeper.tif", date(2011, 2, 25))
    write(tmp_path / ".hidden" / "no.tif", date(2012, 2, 25))
    assert [image.path.name for image in open_amplitudes(tmp_path).images] == ["here.tif"]


def test_images_that_cannot_be_used_are_told_and_cost_no_other(tmp_path: Path) -> None:
    write(tmp_path / "good.tif", date(2010, 2, 25))
    bad = write(tmp_path / "bad.tif", date(2011, 2, 25)).with_suffix(".yaml")
    bad.write_text(bad.read_text().replace("wavelength:", "wavelenght:"))
    found = open_amplitudes(tmp_path)
    assert [image.path.name for image in found.images] == ["good.tif"]
    assert [(problem.path, problem.skipped) for problem in found.problems] == [(bad, True)]
    assert found.problems[0].message.startswith(f"{bad}: wavelength: ")
    with pytest.raises(ProductError, match=re.escape(str(bad))):
        open_amplitudes(tmp_path, strict=True)
    (tmp_path / "good.yaml").unlink()
    with pytest.raises(NoDataError, match=re.escape(str(bad))):
        open_amplitudes(tmp_path)


def test_a_day_and_sensor_given_twice_is_named(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, date(2010, 2, 25)) for name in ("a.tif", "b.tif"))
    line = f"{second}: radar of 2010-02-25 is already given by {first}; remove one, or give the folder of one frame"
    with pytest.raises(ProductError, match=f"^{re.escape(line)}$"):
        open_amplitudes(tmp_path)
    write(second, date(2010, 2, 25), "other")
    assert len(open_amplitudes(tmp_path).images) == 2


def test_other_files_are_no_images(tmp_path: Path) -> None:
    for name in ("run.yaml", "run.log", "20100225.slc.par", "metadata.yaml", "IMG-HH.tif", "S2A.zip"):
        (tmp_path / name).write_text("date: 2010-02-25\nseed: 3\n")
    assert not holds_amplitudes(tmp_path)
    with pytest.raises(UnknownFormatError, match=r"no amplitude images with geometry here; give images of ceos, safe"):
        open_amplitudes(tmp_path)


def test_nothing_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"no such file or folder; check the spelling"):
        open_amplitudes(tmp_path / "nowhere")
    assert not holds_amplitudes(tmp_path / "nowhere")
    with pytest.raises(NoDataError, match=r"the folder is empty; give the folder that holds the images"):
        open_amplitudes(tmp_path)


def test_readers_have_different_names() -> None:
    assert len({reader.PRODUCT for reader in AMPLITUDE_READERS}) == len(AMPLITUDE_READERS)
