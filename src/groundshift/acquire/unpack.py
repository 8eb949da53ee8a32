"""HyP3 products out of their archives: checked as they are read, whole or not at all, nowhere but in their folder."""

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from groundshift.acquire.disk import check_room, told_of_disk
from groundshift.errors import DamagedFileError

__all__ = ["unpack"]

_DRIVE = re.compile(r"[A-Za-z]:")


def unpack(archive: Path, final: Path, workshop: Path) -> None:
    """Unpack the archive of one product into a folder of its own.

    Parameters
    ----------
    archive : path
        A ZIP file whose members lie in a folder named as the archive, as HyP3 packs them, or in none.
    final : path
        The folder to make; one that stands there is replaced.
    workshop : path
        Folder in which it is built under a temporary name, on the same disk but where no reader looks.

    Raises
    ------
    DamagedFileError
        If the archive is damaged, or a member would lie outside its folder.
    OutputError
        If there is no room for what is in it, or the place cannot be written to.
    """
    with told_of_disk(final):
        holder = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=workshop))
        try:
            built = holder / final.name
            _extract(archive, built)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                os.rename(final, holder / f"old-{final.name}")
            os.rename(built, final)
        finally:
            shutil.rmtree(holder, ignore_errors=True)


def _extract(archive: Path, built: Path) -> None:
    """Write the members of an archive; reading them checks their sums."""
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if not member.is_dir()]
            places = [_place(archive, member) for member in members]
            check_room(built.parent, sum(member.file_size for member in members))
            built.mkdir()
            for member, place in zip(members, places, strict=True):
                target = built / place
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as packed, target.open("wb") as sink:
                    shutil.copyfileobj(packed, sink, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedFileError(f"{archive.name}: the archive is damaged; run again to fetch it anew") from error


def _place(archive: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    """Return where a member goes within its folder."""
    # ZipInfo cuts names at a zero byte; the one that was written counts here.
    name = member.orig_filename
    place = PurePosixPath(name)
    outside = place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name or _DRIVE.match(name)
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise DamagedFileError(
            f"{archive.name}: holds {name!r}, which would lie outside its folder; not unpacked, tell the service"
        )
    return place.relative_to(archive.stem) if place.parts[0] == archive.stem and len(place.parts) > 1 else place
