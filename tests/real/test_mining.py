"""Mines in a real interferogram: the bowls that can be seen are found and unwrapped."""

import csv

import numpy as np
import pytest

pytestmark = pytest.mark.real


def test_the_bowls_that_can_be_seen_are_found(real_data, groundshift, tmp_path):
    ran = groundshift("bowls", real_data / "mining_phase", "-o", tmp_path / "out", "--quiet")
    assert ran.code == 0, ran.err
    with (tmp_path / "out" / "bowls.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = sorted((float(row["row"]), float(row["column"])) for row in rows)
    np.testing.assert_allclose(places, [(14, 46), (185, 290), (196, 88), (291, 104)], atol=4)
    assert all(float(row["displacement_mm"]) < -30 for row in rows)
    assert int(rows[0]["residues_after"]) < int(rows[0]["residues_before"]) / 4
