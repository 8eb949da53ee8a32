"""Archives of HyP3, good and bad."""

import io
import stat
import zipfile

import pytest
from tests.acquire.services import archive

from groundshift.acquire import unpack
from groundshift.errors import DamagedFileError, OutputError

NAME = "S1_136231_IW2_20200604_20200616_VV_INT80_12E3"


def put(tmp_path, packed):
    path = tmp_path / f"{NAME}.zip"
    path.write_bytes(packed)
    return path


def zipped(*members):
    """An archive of members: names, or entries, with what they hold."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as sink:
        for member, text in members:
            sink.writestr(member, text)
    return packed.getvalue()


@pytest.mark.parametrize("prefix", [f"{NAME}/", ""])
def test_a_product_lies_in_a_folder_of_its_name(tmp_path, prefix):
    path = put(tmp_path, zipped((f"{prefix}{NAME}_corr.tif", "c"), (f"{prefix}more/{NAME}.txt", "t")))
    final = tmp_path / "136231_IW2" / NAME
    unpack(path, final, tmp_path)
    files = {str(f.relative_to(final)): f.read_text() for f in final.rglob("*") if f.is_file()}
    assert files == {f"{NAME}_corr.tif": "c", f"more/{NAME}.txt": "t"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["136231_IW2", path.name]


def test_a_product_that_stands_there_is_replaced(tmp_path):
    final = tmp_path / "136231_IW2" / NAME
    for text in ("first", "second"):
        unpack(put(tmp_path, zipped((f"{NAME}/{text}.txt", text))), final, tmp_path)
    assert [p.name for p in final.iterdir()] == ["second.txt"]


def link():
    entry = zipfile.ZipInfo(f"{NAME}/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "member", ["../outside.txt", f"{NAME}/../../outside.txt", "/outside.txt", "C:\\outside.txt", "..\\outside", link()]
)
def test_nothing_is_written_outside(tmp_path, member):
    path = put(tmp_path, zipped((f"{NAME}/good.txt", "good"), (member, "bad")))
    with pytest.raises(DamagedFileError, match=r"which would lie outside its folder; not unpacked, tell the service"):
        unpack(path, tmp_path / "in" / "136231_IW2" / NAME, tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == [path.name]


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "encrypted"])
def test_a_damaged_archive_leaves_nothing(tmp_path, damage):
    packed = bytearray(archive(NAME, **{"a.tif": "phase " * 500}))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[packed.index(b"a.tif") + 30] ^= 255
    elif damage == "text":
        packed = bytearray(b"<html>")
    else:
        # The bit that says so, in both headers.
        packed[6] |= 1
        packed[packed.index(b"PK\x01\x02") + 8] |= 1
    path = put(tmp_path, bytes(packed))
    with pytest.raises(DamagedFileError, match=rf"^{NAME}\.zip: the archive is damaged; run again to fetch it anew$"):
        unpack(path, tmp_path / "136231_IW2" / NAME, tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == [path.name]


def test_an_archive_larger_than_the_disk_is_not_begun(tmp_path):
    with zipfile.ZipFile(tmp_path / f"{NAME}.zip", "w") as sink:
        sink.writestr("a.tif", "a")
        # Told by the directory, before a byte is written.
        sink.infolist()[0].file_size = 1 << 60
    with pytest.raises(OutputError, match=r"GB are to come, .* GB are free; free some space"):
        unpack(tmp_path / f"{NAME}.zip", tmp_path / "136231_IW2" / NAME, tmp_path)
