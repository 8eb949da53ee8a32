"""Sentinel-1 products of ESA, small ones that are written here."""

import re
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.io.amplitude_pass import GROUND, NOON, picture, seen, vectors

from groundshift.constants import SPEED_OF_LIGHT
from groundshift.errors import DamagedFileError, MissingFileError, ProductError
from groundshift.geometry.radar import GroundAxis
from groundshift.io import amplitudes_safe
from groundshift.io.amplitudes import open_amplitudes
from groundshift.types import Window

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")

DAY = date(2018, 7, 2)
START, INTERVAL = NOON - 2.0, 2.0555563e-3
NEAR = 750_000.0
RATE = 6.434523812571428e7
FREQUENCY = 5.405000454334350e9
SIGMA = (400.0, 300.0)
"""Table for sigma nought: at the first and at the last column."""

MANIFEST = """<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0"
 xmlns:s1="http://www.esa.int/safe/sentinel-1.0/sentinel-1"
 xmlns:s1sarl1="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1" version="1">
 <metadataSection>
  <safe:platform><safe:familyName>SENTINEL-1</safe:familyName><safe:number>A</safe:number>
   <s1sarl1:instrumentMode><s1sarl1:mode>IW</s1sarl1:mode><s1sarl1:swath>IW</s1sarl1:swath></s1sarl1:instrumentMode>
  </safe:platform>
  <safe:orbitNumber type="start">100</safe:orbitNumber><safe:orbitNumber type="stop">100</safe:orbitNumber>
  <safe:relativeOrbitNumber type="start">62</safe:relativeOrbitNumber>
  <safe:relativeOrbitNumber type="stop">62</safe:relativeOrbitNumber>
  <s1:pass>ASCENDING</s1:pass><s1:ascendingNodeTime>2018-07-02T11:00:00.000000</s1:ascendingNodeTime>
  <s1sarl1:missionDataTakeID>1</s1sarl1:missionDataTakeID>
  <s1sarl1:transmitterReceiverPolarisation>VV</s1sarl1:transmitterReceiverPolarisation>
  <s1sarl1:productType>{kind}</s1sarl1:productType>
  <safe:startTime>2018-07-02T12:00:00.000000</safe:startTime><safe:stopTime>2018-07-02T12:00:20.000000</safe:stopTime>
 </metadataSection>
 <dataObjectSection>
{files} </dataObjectSection>
</xfdu:XFDU>
"""
OBJECT = (
    ' <dataObject ID="{name}" repID="s1Level1{role}Schema"><byteStream mimeType="x" size="1">'
    '<fileLocation locatorType="URL" href="./{path}"/></byteStream></dataObject>\n'
)


def when(seconds: float) -> str:
    """Write seconds of the day as annotations do."""
    return (datetime(DAY.year, DAY.month, DAY.day) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def annotation(rows: int, columns: int, *, slant: bool, bursts: list[float], per_burst: int, grsr: str) -> str:
    """Return the parts of an annotation that images have, in their order."""
    orbits = "".join(
        f"<orbit><time>{when(t)}</time><frame>Earth Fixed</frame>"
        f"<position><x>{p[0]:.6f}</x><y>{p[1]:.6f}</y><z>{p[2]:.6f}</z></position>"
        f"<velocity><x>{v[0]:.6f}</x><y>{v[1]:.6f}</y><z>{v[2]:.6f}</z></velocity></orbit>"
        for t, p, v in zip(*vectors(17), strict=True)
    )
    swaths = "".join(
        f"<burst><azimuthTime>{when(t)}</azimuthTime><azimuthAnxTime>1.0</azimuthAnxTime>"
        f"<sensingTime>{when(t)}</sensingTime><byteOffset>0</byteOffset></burst>"
        for t in bursts
    )
    conversions = "".join(
        f"<coordinateConversion><azimuthTime>{when(START + dt)}</azimuthTime><slantRangeTime>5.0e-03</slantRangeTime>"
        f'<sr0>750000.0</sr0><srgrCoefficients count="3">0.0 1.5 0.0</srgrCoefficients><gr0>0.0</gr0>'
        f'<grsrCoefficients count="3">{grsr}</grsrCoefficients></coordinateConversion>'
        for dt in (-1.0, 1.0)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product>
 <generalAnnotation>
  <productInformation><pass>Ascending</pass><timelinessCategory>Fast-24h</timelinessCategory>
   <platformHeading>0.0</platformHeading><projection>{"Slant" if slant else "Ground"} Range</projection>
   <rangeSamplingRate>{RATE:.9e}</rangeSamplingRate><radarFrequency>{FREQUENCY:.15e}</radarFrequency>
   <azimuthSteeringRate>1.59</azimuthSteeringRate></productInformation>
  <orbitList count="17">{orbits}</orbitList>
 </generalAnnotation>
 <imageAnnotation><imageInformation>
  <productFirstLineUtcTime>{when(START)}</productFirstLineUtcTime>
  <productLastLineUtcTime>{when(START + INTERVAL * (rows - 1))}</productLastLineUtcTime>
  <ascendingNodeTime>2018-07-02T11:00:00.000000</ascendingNodeTime><anchorTime>{when(START)}</anchorTime>
  <productComposition>Slice</productComposition><sliceNumber>1</sliceNumber>
  <slantRangeTime>{2 * NEAR / SPEED_OF_LIGHT:.15e}</slantRangeTime><pixelValue>Detected</pixelValue>
  <outputPixels>16 bit Unsigned Integer</outputPixels><rangePixelSpacing>1.0e+01</rangePixelSpacing>
  <azimuthPixelSpacing>1.0e+01</azimuthPixelSpacing><azimuthTimeInterval>{INTERVAL:.15e}</azimuthTimeInterval>
  <azimuthFrequency>4.8e+02</azimuthFrequency><numberOfSamples>{columns}</numberOfSamples>
  <numberOfLines>{rows}</numberOfLines><zeroDopMinusAcqTime>0.0</zeroDopMinusAcqTime>
  <incidenceAngleMidSwath>3.9e+01</incidenceAngleMidSwath>
 </imageInformation></imageAnnotation>
 <swathTiming><linesPerBurst>{per_burst}</linesPerBurst><samplesPerBurst>{columns}</samplesPerBurst>
  <burstList count="{len(bursts)}">{swaths}</burstList></swathTiming>
 <coordinateConversion><coordinateConversionList count="{0 if slant else 2}">{"" if slant else conversions}
 </coordinateConversionList></coordinateConversion>
</product>
"""


def calibration(rows: int, columns: int) -> str:
    """Return tables of sigma nought, twice as high at the last line."""
    vector = (
        "<calibrationVector><azimuthTime>{when}</azimuthTime><line>{line}</line>"
        '<pixel count="2">0 {last}</pixel><sigmaNought count="2">{sigma}</sigmaNought>'
        '<betaNought count="2">1 1</betaNought><gamma count="2">1 1</gamma><dn count="2">1 1</dn></calibrationVector>'
    )
    vectors = "".join(
        vector.format(when=when(START), line=line, last=columns - 1, sigma=" ".join(f"{s * times:e}" for s in SIGMA))
        for line, times in ((0, 1), (rows - 1, 2))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<calibration><adsHeader/><calibrationInformation>'
        "<absoluteCalibrationConstant>1.0</absoluteCalibrationConstant></calibrationInformation>"
        f'<calibrationVectorList count="2">{vectors}</calibrationVectorList></calibration>\n'
    )


def sigma(rows: int, columns: int) -> np.ndarray:
    """Return the table at every pixel."""
    return np.linspace(1, 2, rows)[:, None] * np.linspace(*SIGMA, columns)[None]


class Product:
    """A product that images are put into."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.root = folder / f"S1A_IW_{kind}__1SDV_20180702T120000.SAFE"
        self.kind = kind
        self.files: list[str] = []

    def add(
        self,
        image: np.ndarray,
        *,
        swath: str = "iw",
        polarisation: str = "vv",
        bursts: list[float] | None = None,
        grsr: str = "750000.0 0.5 4.0e-07",
        tables: bool = True,
    ) -> "Product":
        rows, columns = image.shape
        starts = bursts or []
        stem = f"s1a-{swath}-{self.kind.lower()[:3]}-{polarisation}-20180702t120000-20180702t120020-000100-000001-001"
        texts = {
            f"annotation/{stem}.xml": annotation(
                rows,
                columns,
                slant=self.kind == "SLC",
                bursts=starts,
                per_burst=rows // len(starts) if starts else 0,
                grsr=grsr,
            ),
            **({f"annotation/calibration/calibration-{stem}.xml": calibration(rows, columns)} if tables else {}),
        }
        for name, content in texts.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        raster = self.root / f"measurement/{stem}.tiff"
        raster.parent.mkdir(exist_ok=True)
        dtype = "complex_int16" if self.kind == "SLC" else "uint16"
        with rasterio.open(raster, "w", driver="GTiff", height=rows, width=columns, count=1, dtype=dtype) as sink:
            sink.write(image.astype(np.complex64 if self.kind == "SLC" else np.uint16), 1)
        roles = {f"annotation/{stem}.xml": "Product", f"measurement/{stem}.tiff": "Measurement"}
        roles |= {f"annotation/calibration/calibration-{stem}.xml": "Calibration"} if tables else {}
        self.files += [OBJECT.format(name=Path(name).stem, role=role, path=name) for name, role in roles.items()]
        (self.root / "manifest.safe").write_text(MANIFEST.format(kind=self.kind, files="".join(self.files)))
        return self


def test_detected_pixels_are_roots_of_backscatter(tmp_path: Path) -> None:
    (image,) = amplitudes_safe.open_images(Product(tmp_path, "GRD").add(picture()).root)
    assert (image.product, image.sensor, image.day, image.calibration) == ("safe", "Sentinel-1", DAY, 1.0)
    expected = picture() / sigma(*picture().shape)
    np.testing.assert_allclose(image.read(), expected, rtol=1e-5)
    np.testing.assert_allclose(image.read(Window(3, 2, 5, 4)), expected[3:8, 2:6], rtol=1e-5)
    assert image.read()[0, 0] == 0


def test_without_tables_pixels_are_digital_numbers(tmp_path: Path) -> None:
    (image,) = amplitudes_safe.open_images(Product(tmp_path, "GRD").add(picture(), tables=False).root)
    assert image.calibration is None
    np.testing.assert_array_equal(image.read(), picture())


def test_ground_of_a_detected_image_lies_where_the_circle_sees_it(tmp_path: Path) -> None:
    geometry = amplitudes_safe.open_images(Product(tmp_path, "GRD").add(picture()).root)[0].geometry
    assert geometry.first_time == pytest.approx(START, abs=1e-6)
    assert geometry.wavelength == pytest.approx(SPEED_OF_LIGHT / FREQUENCY)
    assert isinstance(geometry.axis, GroundAxis)
    place, (times, distances) = geometry.place(GROUND), seen()
    np.testing.assert_allclose(place.row, (times - START) / INTERVAL, atol=0.01)
    ground = 10 * place.column
    np.testing.assert_allclose(NEAR + 0.5 * ground + 4e-7 * ground**2, distances, atol=1e-3)


def bursts_of(rows: int, first: tuple[int, ...], height: int) -> np.ndarray:
    """Return the lines of bursts: each shows its rows of one image, and its edges are without data."""
    whole = np.arange(1, rows * 9 + 1).reshape(rows, 9)
    lines = [whole[one : one + height].copy() for one in first]
    for burst in lines:
        burst[[0, -1]] = 0
    return np.concatenate(lines)


def test_bursts_are_joined_at_the_middle_of_their_overlap(tmp_path: Path) -> None:
    first, height = (0, 14, 28), 20
    lines = bursts_of(48, first, height)
    times = [START + one * INTERVAL for one in first]
    (image,) = amplitudes_safe.open_images(Product(tmp_path, "SLC").add(1j * lines, swath="iw2", bursts=times).root)
    assert image.sensor == "Sentinel-1 IW2"
    assert image.geometry.shape == (48, 9)
    found = image.read()
    np.testing.assert_array_equal(found[[0, -1]], 0)
    # Rows 0 to 16 come from the first burst, 17 to 30 from the second, the others from the third.
    line = np.concatenate([np.arange(17), 20 + np.arange(3, 17), 40 + np.arange(3, 20)])
    numbers = np.arange(1, 48 * 9 + 1).reshape(48, 9)
    np.testing.assert_allclose(found[1:-1], (numbers / sigma(60, 9)[line])[1:-1], rtol=1e-5)
    np.testing.assert_array_equal(image.read(Window(15, 3, 17, 4)), found[15:32, 3:7])


def test_rows_between_bursts_that_do_not_meet_are_without_data(tmp_path: Path) -> None:
    times = [START, START + 13 * INTERVAL]
    product = Product(tmp_path, "SLC").add(np.full((20, 9), 5.0), swath="iw1", bursts=times, tables=False)
    (image,) = amplitudes_safe.open_images(product.root)
    np.testing.assert_array_equal(image.read()[:, 0], [5] * 10 + [0] * 3 + [5] * 10)


def test_ground_of_a_complex_image_lies_where_the_circle_sees_it(tmp_path: Path) -> None:
    product = Product(tmp_path, "SLC").add(np.ones((20, 9)), swath="iw1", bursts=[START])
    geometry = amplitudes_safe.open_images(product.root)[0].geometry
    place, (times, distances) = geometry.place(GROUND), seen()
    np.testing.assert_allclose(place.row, (times - START) / INTERVAL, atol=0.01)
    np.testing.assert_allclose(place.column, (distances - NEAR) * 2 * RATE / SPEED_OF_LIGHT, atol=1e-3)


def test_swaths_are_images_of_their_own_and_one_polarisation_is_read(tmp_path: Path) -> None:
    product = Product(tmp_path, "SLC")
    for swath in ("iw3", "iw1"):
        for polarisation, value in (("vh", 1), ("vv", 2)):
            image = np.full((20, 9), value)
            product.add(image, swath=swath, polarisation=polarisation, bursts=[START], tables=False)
    found = open_amplitudes(tmp_path)
    assert [image.sensor for image in found.images] == ["Sentinel-1 IW1", "Sentinel-1 IW3"]
    assert [image.read().max() for image in found.images] == [2, 2]


def test_a_product_is_found_by_its_folder_its_manifest_and_the_folder_around(tmp_path: Path) -> None:
    root = Product(tmp_path / "below", "GRD").add(picture()).root
    for given in (root, root / "manifest.safe", tmp_path):
        assert [image.path for image in open_amplitudes(given).images] == [root]


def test_an_archive_is_to_be_unzipped_unless_its_folder_is_there(tmp_path: Path) -> None:
    root = Product(tmp_path, "GRD").add(picture()).root
    archive = Path(shutil.make_archive(str(tmp_path / root.stem), "zip", tmp_path, root.name))
    assert len(open_amplitudes(tmp_path, strict=True).images) == 1
    shutil.rmtree(root)
    with pytest.raises(ProductError, match=re.escape(f"{archive}: a packed product; unzip it")):
        open_amplitudes(tmp_path, strict=True)


def test_another_level_is_refused(tmp_path: Path) -> None:
    product = Product(tmp_path, "OCN").add(picture())
    with pytest.raises(ProductError, match=r"product type OCN; give GRD or SLC of level 1"):
        amplitudes_safe.open_images(product.root)


def test_ground_range_that_begins_elsewhere_is_refused(tmp_path: Path) -> None:
    root = Product(tmp_path, "GRD").add(picture()).root
    path = next((root / "annotation").glob("*.xml"))
    path.write_text(path.read_text().replace("<gr0>0.0</gr0>", "<gr0>5.0</gr0>"))
    with pytest.raises(ProductError, match=r"ground range begins elsewhere than at the first column; give the SLC"):
        amplitudes_safe.open_images(root)


@pytest.mark.parametrize("pattern", ["annotation/*.xml", "measurement/*.tiff", "annotation/calibration/*.xml"])
def test_a_missing_file_is_named(tmp_path: Path, pattern: str) -> None:
    root = Product(tmp_path, "GRD").add(picture()).root
    path = next(root.glob(pattern))
    path.unlink()
    with pytest.raises(MissingFileError, match=re.escape(f"{path}: no such file; fetch the product again")):
        amplitudes_safe.open_images(root)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("pattern", ["annotation/*.xml", "manifest.safe", "annotation/calibration/*.xml"])
def test_a_truncated_file_is_named(tmp_path: Path, pattern: str, share: float) -> None:
    root = Product(tmp_path, "GRD").add(picture()).root
    path = next(root.glob(pattern))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DamagedFileError) as caught:
        amplitudes_safe.open_images(root)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_truncated_pixels_are_named(tmp_path: Path) -> None:
    root = Product(tmp_path, "GRD").add(picture()).root
    (image,) = amplitudes_safe.open_images(root)
    path = next(root.glob("measurement/*.tiff"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedFileError, match=re.escape(str(path))):
        image.read()
