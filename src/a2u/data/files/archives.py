"""Unpacking archives of datasets: zip, and tar with or without compression by gzip, bzip2 or xz.

An archive comes from elsewhere and may be broken or made to do harm. It is unpacked into a new folder beside the wanted
one, whose place that takes once it is whole. Links are refused, also those that stay inside: datasets have none, and
the standard library's own filter for tar files can be led past by chains of them (CVE-2025-4517) in some Pythons.
"""

import shutil
import stat
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO, Self

from tqdm import tqdm

from a2u.errors import DataError

GB = 2**30
RATIO = 20  # bytes unpacked for one packed: pictures are compressed already, so datasets have hardly more than 1
LEAST_LIMIT = GB  # small archives may be of text
MOST_ENTRIES = 500_000  # files and folders; COCO's train2014 has 82,783
LONGEST_NAME = 1000  # characters
LONGEST_HEADER = 2**20  # bytes of a tar entry's name and attributes, which are read into memory


@dataclass(frozen=True)
class Entry:
    """What an archive holds under a name."""

    name: str
    size: int  # bytes, unpacked
    kind: str  # file or folder; anything else is refused
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, into: Path, limit: int | None = None) -> tuple[int, int]:
    """Unpack `archive` to the folder `into`, which is there whole afterwards or not at all; with a progress bar.

    Args:
        archive: a zip or tar file, told by its contents.
        into: a folder that does not exist yet, or is empty.
        limit: bytes of all files together; None: 20 times the archive's, and 1 GB (2**30 bytes) at least.

    Returns:
        How many files there were, and of how many bytes together.

    Raises:
        DataError: `into` is in use or cannot be written; or the archive is missing, damaged, encrypted, beyond a limit,
            or has an entry that is a link or a device, leads out of the folder, or takes the place of another.
    """
    if not archive.is_file():
        raise DataError(f"there is no archive {archive}")
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise DataError(f"{into} is there already and not empty: name another folder, or remove it first")
    if limit is None:
        limit = max(RATIO * archive.stat().st_size, LEAST_LIMIT)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as temporary:
            folder = Path(temporary) / "whole"
            folder.mkdir()
            done = _unpack(archive, folder, limit)
            folder.replace(into)
            return done
    except DataError as error:
        raise DataError(f"{archive} is refused: {error}; nothing was unpacked") from error
    except Exception as error:  # a damaged archive fails in a dozen ways
        if isinstance(error, OSError) and error.strerror:  # the system's, not gzip's
            raise DataError(f"{archive} cannot be unpacked to {into}: {error.strerror}") from error
        raise DataError(
            f"{archive} is damaged or cut short ({error or type(error).__name__}): fetch it again; nothing was unpacked"
        ) from error


def _unpack(archive: Path, folder: Path, limit: int) -> tuple[int, int]:
    """Returns as `unpack`; its DataErrors do not name the archive."""
    names: dict[str, tuple[str, str]] = {}
    files = size = 0
    bar = tqdm(total=archive.stat().st_size, unit="B", unit_scale=True, disable=not sys.stderr.isatty())
    with archive.open("rb") as packed, bar:
        for number, entry in enumerate(_entries(packed), start=1):
            size += entry.size
            if size > limit or max(number, len(names)) > MOST_ENTRIES:
                raise DataError(
                    f"it unpacks to more than {limit / GB:.3g} GB or {MOST_ENTRIES:,} entries, as an archive does that "
                    "is made to fill disks; if this one is not, allow more GB with --limit"
                )
            place = folder.joinpath(*_checked(entry, names))
            if entry.kind == "folder":
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            source = entry.open()
            assert source is not None
            with source, place.open("xb") as target:
                shutil.copyfileobj(source, target, 2**20)
            files += 1
            bar.update(packed.tell() - bar.n)
    return files, size


def _checked(entry: Entry, names: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    """The parts of an entry's path, below the folder. Raises DataError for an entry that is refused.

    names: those of earlier entries and of the folders they lie in, as a system without capital letters has them, with
        spelling and kind; this entry's are added.
    """
    if len(entry.name) > LONGEST_NAME or not entry.name.isprintable():
        raise DataError(f"its entry {entry.name[:80]!r} has a name that is too long or cannot be shown")
    path = PureWindowsPath(entry.name)  # also knows what leads out on Windows
    if entry.kind not in ("file", "folder"):
        raise DataError(f"its entry {entry.name!r} is {entry.kind}, which no dataset needs")
    if path.drive or path.root or ".." in path.parts:
        raise DataError(f"its entry {entry.name!r} leads out of the folder")
    for depth in range(1, len(path.parts) + 1):
        name = "/".join(path.parts[:depth])
        kind = entry.kind if depth == len(path.parts) else "folder"
        key = unicodedata.normalize("NFC", name).casefold()
        former = names.get(key)
        if former is not None and (kind == "file" or former != (name, "folder")):
            raise DataError(f"its entry {entry.name!r} would take the place of {former[0]!r}")
        names[key] = (name, kind)
    return path.parts


def _entries(packed: IO[bytes]) -> Iterator[Entry]:
    """Entries in the order of the archive; each is to be read before the next is asked for."""
    if zipfile.is_zipfile(packed):
        return _zip_entries(packed)
    packed.seek(0)
    return _tar_entries(packed)


def _zip_entries(packed: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(packed) as archive:
        for part in archive.infolist():
            if part.flag_bits & 1:
                raise DataError("it is encrypted: unpack it with a program that asks for the password")
            kind = "folder" if part.is_dir() else _kind_of_mode(part.external_attr >> 16)
            yield Entry(part.filename, part.file_size, kind, partial(archive.open, part))


def _kind_of_mode(mode: int) -> str:
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _tar_entries(packed: IO[bytes]) -> Iterator[Entry]:
    with _opened_tar(packed) as archive:
        for member in archive:
            if member.size < 0:
                raise tarfile.ReadError(f"a header claims {member.size:,} bytes")
            kind = "file" if member.isreg() else "folder" if member.isdir() else "a device"
            kind = "a link" if member.issym() or member.islnk() else kind
            yield Entry(member.name, member.size, kind, partial(archive.extractfile, member))
        _check_end(archive)


def _opened_tar(packed: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=packed, mode="r:*", tarinfo=_Header)
    except tarfile.TarError as error:
        raise DataError("it is no whole zip or tar file (.tar, .tar.gz, .tar.bz2, .tar.xz)") from error


class _Header(tarfile.TarInfo):
    """A tar entry's header, of which none may claim gigabytes for a name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type not in tarfile.REGULAR_TYPES and found.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {found.size:,} bytes")
        return found


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise EOFError unless the mark of the end is where reading ended: tarfile takes a damaged header for the end.

    Reads on to the end of a compressed file, where its checksum is.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError("there is no mark of its end")
    archive.fileobj.read(2**20)
