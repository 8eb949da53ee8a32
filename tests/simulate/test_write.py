import geopandas as gpd
import numpy as np
import pytest
import rasterio
import yaml

from groundshift.errors import OutputError
from groundshift.io.recognise import open_stack
from groundshift.simulate import SceneConfig, simulate_scene, write_scene

CONFIG = SceneConfig(seed=2, shape=(120, 140), n_dates=5, n_slides=2, gap_share=0.0)


@pytest.fixture(scope="module")
def scene():
    return simulate_scene(CONFIG)


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "one"
    calls = []
    write_scene(scene, folder, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i + 1, len(scene.pairs)) for i in range(len(scene.pairs))]
    return folder


def band(path):
    with rasterio.open(path) as source:
        assert source.dtypes == ("float32",)
        return source.read(1), source


def test_phase_and_coherence_are_those_of_the_interferograms(scene, folder):
    for pair in scene.pairs:
        phase, source = band(folder / f"{pair.name}_phase.tif")
        coherence, _ = band(folder / f"{pair.name}_coh.tif")
        np.testing.assert_allclose(coherence * np.exp(1j * phase), scene.igram(pair), atol=1e-6)
        assert source.crs.to_string() == CONFIG.crs
        assert source.transform == scene.grid.transform


def test_the_reader_delivers_what_the_scene_holds(scene, folder):
    stack = open_stack(folder, strict=True)
    assert [p.name for p in stack.pairs] == [p.name for p in scene.pairs]
    assert stack.coherence_source == "product"
    for pair, made in zip(stack.pairs, scene.pairs, strict=True):
        np.testing.assert_allclose(stack.read(pair), scene.igram(made), atol=1e-6)


def test_metadata_holds_the_documented_keys(scene, folder):
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
    baselines = metadata.pop("perpendicular_baselines_m")
    assert metadata == {
        "wavelength_m": CONFIG.wavelength_m,
        "heading_deg": 190.0,
        "incidence_deg": 39.0,
        "right_looking": True,
        "track": "simulated-2",
    }
    assert baselines == {p.name: pytest.approx(p.perpendicular_baseline, abs=1e-3) for p in scene.pairs}


def test_truth_lies_beside_it(scene, folder):
    slides = gpd.read_file(folder / "truth.gpkg", layer="slides")
    assert slides.crs.to_string() == "EPSG:4326"
    assert list(slides["velocity_los_mm_yr"]) == pytest.approx([s.los_velocity for s in scene.slides])
    for outline, slide in zip(slides.geometry, scene.slides, strict=True):
        assert outline.equals_exact(slide.polygon, 1e-9)
    for mean, slide in zip(slides["mean_coherence"], scene.slides, strict=True):
        mask = slide.mask(scene.grid.shape)
        assert mean == pytest.approx(np.mean([np.abs(scene.igram(p)[mask]).mean() for p in scene.pairs]), rel=1e-4)
    np.testing.assert_array_equal(band(folder / "truth_velocity.tif")[0], scene.velocity)
    np.testing.assert_array_equal(band(folder / "dem.tif")[0], scene.heights)


def test_the_configuration_beside_it_makes_the_same_scene(scene, folder):
    config = SceneConfig.model_validate(yaml.safe_load((folder / "simulation.yaml").read_text(encoding="utf-8")))
    assert config == CONFIG


def test_an_interrupted_scene_is_finished_and_its_files_kept(scene, folder, tmp_path):
    partial = tmp_path / "partial"

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scene(scene, partial, progress=stop)
    first = partial / f"{scene.pairs[0].name}_phase.tif"
    before = first.stat().st_mtime_ns
    write_scene(scene, partial)
    assert first.stat().st_mtime_ns == before
    assert {f.name for f in partial.iterdir()} == {f.name for f in folder.iterdir()}


def test_a_folder_of_something_else_is_left_alone(scene, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError) as error:
        write_scene(scene, tmp_path)
    assert str(error.value) == f"{tmp_path}: already holds something else; choose a new or empty folder"
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


def test_a_scene_without_slides_has_an_empty_layer(tmp_path):
    empty = simulate_scene(SceneConfig(shape=(32, 32), n_dates=2, n_slides=0, gap_share=0))
    write_scene(empty, tmp_path / "empty")
    slides = gpd.read_file(tmp_path / "empty" / "truth.gpkg", layer="slides")
    assert len(slides) == 0
    assert "mean_coherence" in slides.columns
