"""What `groundshift info` tells of real products, and of folders that hold something else."""

import json

import pytest

pytestmark = pytest.mark.real

PRODUCTS = {
    "danba": {
        "product": "gamma", "pixels": [101, 175], "pairs": 201, "dates": 52, "coherence": "product",
        "first_date": "2016-01-01", "last_date": "2019-12-23",
    },
    "mexico_city": {
        "product": "geotiff", "pixels": [60, 100], "pairs": 30, "dates": 13, "coherence": "product",
        "first_date": "2018-01-06", "last_date": "2018-07-17",
    },
    "sydney/tif": {
        "product": "geotiff", "pixels": [72, 47], "pairs": 17, "dates": 13, "coherence": "estimated",
        "first_date": "2006-06-19", "last_date": "2007-09-17",
    },
    "sydney/gamma": {
        "product": "gamma", "pixels": [72, 47], "pairs": 17, "dates": 13, "coherence": "estimated",
        "first_date": "2006-06-19", "last_date": "2007-09-17",
    },
    "mining_phase": {
        "product": "wzp", "pixels": [300, 300], "pairs": 1, "dates": 2, "coherence": "estimated",
        "first_date": "2019-01-20", "last_date": "2019-02-01",
    },
}  # fmt: skip
"""Facts of each folder, from its own headers and file names."""

PLACES = {"danba": (101.94, 30.84), "mexico_city": (-99.0, 19.4), "sydney/tif": (150.9, -34.2)}


@pytest.mark.parametrize("folder", PRODUCTS)
def test_info_tells_the_facts_of_a_product(groundshift, real_data, folder):
    ran = groundshift("info", real_data / folder, "--json")
    assert ran.err == ""
    facts = json.loads(ran.out)
    assert ran.code == (1 if facts["skipped"] else 0)
    assert {name: facts[name] for name in PRODUCTS[folder]} == PRODUCTS[folder]
    # Sentinel-1 and Envisat are C band; what is not told is taken as Sentinel-1.
    assert 0.055 < facts["wavelength_m"] < 0.057
    if folder in PLACES:
        assert facts["centre"] == pytest.approx(PLACES[folder], abs=0.6)
    assert groundshift("info", real_data / folder).out.startswith(f"product          {facts['product']}\n")


def test_danba_falls_into_two_groups_of_dates(groundshift, real_data):
    facts = json.loads(groundshift("info", real_data / "danba", "--json").out)
    assert [group["dates"] for group in facts["groups"]] == [9, 43]
    assert [gap["days"] for gap in facts["gaps"] if not gap["bridged"]] == [552]
    assert facts["look"]["direction"] == "descending"


@pytest.mark.parametrize(
    "folder",
    [
        "dem", "sentinel2", "glacier_amplitude", "mining_masks", "offset_accuracy", "del_medio_offsets",
        "sydney/dem", "sydney/coherence", "mexico_city/geometry",
    ],
)  # fmt: skip
def test_a_folder_of_something_else_is_one_clear_line(groundshift, real_data, folder):
    for arguments in (["info", real_data / folder], ["survey", real_data / folder, "-o", "never-made"]):
        ran = groundshift(*arguments)
        assert (ran.code, ran.out, len(ran.lines)) == (1, "", 1)
        assert ran.lines[0].startswith(f"groundshift: {real_data / folder}: no ")


def test_images_that_hold_no_pixels_are_named(groundshift, real_data):
    for arguments in (["info"], ["survey", "-o", "never-made"]):
        ran = groundshift(arguments[0], real_data / "opera_cslc", *arguments[1:])
        assert (ran.code, ran.out, len(ran.lines)) == (1, "", 1)
        assert ran.lines[0].startswith(f"groundshift: {real_data / 'opera_cslc'}/OPERA_L2_CSLC")
        assert ran.lines[0].endswith(".h5: no complex image VV, HH, VH or HV in it; fetch the file again")


def test_a_single_interferogram_is_no_stack(groundshift, real_data, tmp_path):
    ran = groundshift("stack", real_data / "mining_phase", "-o", tmp_path / "out")
    assert (ran.code, ran.out) == (1, "")
    assert "wavelength and spacing not told" in ran.lines[0]
    assert ran.lines[1:] == [
        f"groundshift: {real_data / 'mining_phase'}: 1 of 1 pairs selected, but a stack needs 2 or more; "
        "add interferograms or raise --max-days"
    ]
