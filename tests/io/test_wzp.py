import os
from pathlib import Path

import numpy as np
import pytest

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io import wzp
from groundshift.types import Window

Y, X = np.mgrid[:20, :20]
RAMP = np.angle(np.exp(1j * (0.7 * X - 0.4 * Y + 0.1))).astype("<f4")


def test_square_image_needs_no_side_file_and_says_what_it_assumes(tmp_path: Path) -> None:
    file = tmp_path / "20_20190120-20190201.wzp"
    RAMP.tofile(file)
    stack = wzp.open_stack(file)
    assert stack.grid.shape == (20, 20)
    assert stack.grid.spacing == (20, 20)
    assert np.isnan(stack.grid.lonlat(np.array([3.0]), np.array([4.0]))).all()
    assert stack.wavelength == SENTINEL1_WAVELENGTH
    (note,) = stack.problems
    assert not note.skipped
    assert note.message == (
        f"{file}: wavelength and spacing not told, taken as Sentinel-1's 0.0555 m and 20 m pixels; write them into "
        "20_20190120-20190201.txt"
    )
    np.testing.assert_allclose(np.angle(stack.read(stack.pairs[0])), RAMP, atol=1e-6)


@pytest.mark.parametrize(("suffix", "between"), [(".txt", " = "), (".yaml", ": ")])
def test_side_file_gives_width_spacing_and_wavelength(tmp_path: Path, suffix: str, between: str) -> None:
    file = tmp_path / "mine_20190120_20190201.wzp"
    RAMP[:8].tofile(file)
    told = {"width": "20  # pixels", "spacing": "15.5", "wavelength": "0.236", "comment": "none"}
    file.with_suffix(suffix).write_text("".join(f"{name}{between}{value}\n" for name, value in told.items()))
    stack = wzp.open_stack(tmp_path)
    assert stack.grid.shape == (8, 20)
    assert stack.grid.spacing == (15.5, 15.5)
    assert stack.wavelength == 0.236
    assert stack.problems == ()


def test_width_in_the_side_file_overrules_the_name(tmp_path: Path) -> None:
    file = tmp_path / "99_20190120_20190201.wzp"
    RAMP[:8].tofile(file)
    file.with_suffix(".txt").write_text("width: 20\n")
    assert wzp.open_stack(file).grid.shape == (8, 20)


def test_file_cut_at_the_end_of_a_line_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "20_20190120-20190201.wzp"
    RAMP[:10].tofile(file)
    with pytest.raises(NoDataError) as caught:
        wzp.open_stack(file)
    assert str(caught.value) == (
        f"{file}: expected 1600 bytes (20 x 20 pixels), instead got 800; fetch it again, or write its width into "
        "20_20190120-20190201.txt"
    )


def test_width_that_fits_no_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "20190120-20190201.wzp"
    RAMP[:7].tofile(file)
    with pytest.raises(NoDataError, match=r"560 bytes are no whole lines of 11 float32 pixels; fetch it again"):
        wzp.open_stack(file)


@pytest.mark.parametrize("width", ["-3", "many", "nan"])
def test_side_file_with_a_width_that_is_none_is_named(tmp_path: Path, width: str) -> None:
    file = tmp_path / "20_20190120-20190201.wzp"
    RAMP.tofile(file)
    file.with_suffix(".txt").write_text(f"width: {width}\n")
    with pytest.raises(NoDataError, match=f"width must be a positive number, instead got '{width}'; mend the line"):
        wzp.open_stack(file)


def test_file_that_shrinks_after_opening_is_named(tmp_path: Path) -> None:
    file = tmp_path / "20_20190120-20190201.wzp"
    RAMP.tofile(file)
    stack = wzp.open_stack(file)
    file.write_bytes(b"1234")
    with pytest.raises(DamagedFileError, match="expected 1600 bytes"):
        stack.read(stack.pairs[0])


@pytest.mark.real
def test_mining_bowl_moves_away_from_the_satellite() -> None:
    """The rim of the great bowl, from the quiet ground inwards: several fringes, all growing."""
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    stack = wzp.open_stack(Path(root) / "mining_phase")
    (pair,) = stack.pairs
    assert pair.name == "20190120_20190201"
    assert stack.grid.shape == (300, 300)
    igram = stack.read(pair)
    rim = igram[170:206, 20:72]
    inwards = np.angle(np.sum(rim[:, 1:] * rim[:, :-1].conj(), axis=0)).sum()
    assert inwards > np.pi
    window = Window(150, 40, 77, 101)
    np.testing.assert_array_equal(stack.read(pair, window), igram[window.rows, window.columns])
