"""Unpack archives of datasets: zip, and tar with or without gzip, bzip2 or xz compression.

An archive from elsewhere may be damaged or malicious. `zipfile` and `tarfile` (with its data filter) write the files,
into a temporary folder that takes the wanted name once it is complete. What they would rename, overwrite or allow is
refused first: paths that lead out of the folder, names that collide, links (no dataset needs them, and chains of them
have passed the data filter: CVE-2025-4517), and sizes that would fill the disk.
"""

import stat
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple, Self

from tqdm import tqdm

from a2u.errors import DataError

GB = 2**30
RATIO = 20  # default limit: unpacked bytes per packed byte; datasets hold compressed images and stay near 1
LEAST_LIMIT = GB  # bytes; lower limit of that default, since a small archive may hold text
MOST_ENTRIES = 500_000  # files and folders; COCO's train2014 has 82,783
LONGEST_NAME = 1000  # characters
LONGEST_HEADER = 2**20  # bytes of a tar entry's name and attributes, which are read into memory


class Entry(NamedTuple):
    """One entry of an archive."""

    name: str
    size: int  # bytes, unpacked
    kind: str  # "file", "folder", "a link" or "a device"
    extract: Callable[[Path, str], object]  # into a folder, under a name


def unpack(archive: Path, into: Path, limit: int | None = None) -> tuple[int, int]:
    """Unpack `archive` to the folder `into`, completely or not at all, with a progress bar.

    Args:
        archive: a zip or tar file, recognised by its contents.
        into: a folder that does not exist yet or is empty.
        limit: most bytes of all files together; None: 20 times the archive's size, and at least 1 GB (2**30 bytes).

    Returns:
        The number of files and their total size in bytes.

    Raises:
        DataError: `into` is in use or cannot be written; or the archive is missing, damaged, encrypted or over a limit,
            or an entry is a link or a device, leads out of the folder, or would replace another.
    """
    if not archive.is_file():
        raise DataError(f"there is no archive {archive}")
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise DataError(f"{into} exists and is not empty: name another folder, or remove it first")
    if limit is None:
        limit = max(RATIO * archive.stat().st_size, LEAST_LIMIT)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}.") as temporary:
            folder = Path(temporary) / "whole"
            folder.mkdir()
            unpacked = _unpack(archive, folder, limit)
            folder.replace(into)
            return unpacked
    except DataError as error:
        raise DataError(f"{archive} is refused: {error}; nothing was unpacked") from error
    except Exception as error:  # a damaged archive raises a dozen types
        if isinstance(error, OSError) and error.strerror:  # of the operating system, not of gzip
            raise DataError(f"{archive} cannot be unpacked to {into}: {error.strerror}") from error
        raise DataError(
            f"{archive} is damaged or cut short ({error or type(error).__name__}): fetch it again; nothing was unpacked"
        ) from error


def _unpack(archive: Path, folder: Path, limit: int) -> tuple[int, int]:
    """Do the work of `unpack`; its DataErrors do not name the archive."""
    taken: dict[str, tuple[str, str]] = {}
    files = size = 0
    bar = tqdm(total=archive.stat().st_size, unit="B", unit_scale=True, disable=not sys.stderr.isatty())
    with archive.open("rb") as packed, bar:
        for number, entry in enumerate(_entries(packed), start=1):
            size += entry.size
            if size > limit or max(number, len(taken)) > MOST_ENTRIES:
                raise DataError(
                    f"it unpacks to more than {limit / GB:.3g} GB or {MOST_ENTRIES:,} entries, like an archive that is "
                    "made to fill disks; if it is a real dataset, allow more GB with limit_gb"
                )
            entry.extract(folder, _safe_name(entry, taken))
            files += entry.kind == "file"
            bar.update(packed.tell() - bar.n)
    return files, size


def _safe_name(entry: Entry, taken: dict[str, tuple[str, str]]) -> str:
    """Return the name to unpack an entry under; raise DataError for an entry that is refused.

    taken: spelling and kind of every earlier entry and of the folders above it, by its name without regard to case,
        as some file systems see it; this entry's are added.
    """
    if len(entry.name) > LONGEST_NAME or not entry.name.isprintable():
        raise DataError(f"its entry {entry.name[:80]!r} has a name that is too long or not printable")
    path = PureWindowsPath(entry.name)  # also recognises what leads out of the folder on Windows
    if entry.kind not in ("file", "folder"):
        raise DataError(f"its entry {entry.name!r} is {entry.kind}, which no dataset needs")
    if path.drive or path.root or ".." in path.parts:
        raise DataError(f"its entry {entry.name!r} leads out of the folder")
    for depth in range(1, len(path.parts) + 1):
        name = "/".join(path.parts[:depth])
        kind = entry.kind if depth == len(path.parts) else "folder"
        key = unicodedata.normalize("NFC", name).casefold()
        earlier = taken.get(key)
        if earlier is not None and (kind == "file" or earlier != (name, "folder")):
            raise DataError(f"its entry {entry.name!r} would replace {earlier[0]!r}")
        taken[key] = (name, kind)
    return path.as_posix()


def _entries(packed: IO[bytes]) -> Iterator[Entry]:
    """Yield the entries in the order of the archive; extract each before asking for the next."""
    if zipfile.is_zipfile(packed):
        return _zip_entries(packed)
    packed.seek(0)
    return _tar_entries(packed)


def _zip_entries(packed: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(packed) as archive:
        for part in archive.infolist():
            if part.flag_bits & 1:
                raise DataError("it is encrypted: unpack it with a program that asks for the password")

            def extract(folder: Path, name: str, part: zipfile.ZipInfo = part) -> None:
                part.filename = f"{name}/" if part.is_dir() else name
                archive.extract(part, folder)

            kind = "folder" if part.is_dir() else _kind_of_mode(part.external_attr >> 16)
            yield Entry(part.filename, part.file_size, kind, extract)


def _kind_of_mode(mode: int) -> str:
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _tar_entries(packed: IO[bytes]) -> Iterator[Entry]:
    with _opened_tar(packed) as archive:
        for member in archive:
            if member.size < 0:
                raise tarfile.ReadError(f"a header claims {member.size:,} bytes")

            def extract(folder: Path, name: str, member: tarfile.TarInfo = member) -> None:
                archive.extract(member.replace(name=name), folder, filter="data")

            kind = "file" if member.isreg() else "folder" if member.isdir() else "a device"
            kind = "a link" if member.issym() or member.islnk() else kind
            yield Entry(member.name, member.size, kind, extract)
        _check_end(archive)


def _opened_tar(packed: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=packed, mode="r:*", tarinfo=_Header)
    except tarfile.TarError as error:
        raise DataError("it is not a complete zip or tar file (.tar, .tar.gz, .tar.bz2, .tar.xz)") from error


class _Header(tarfile.TarInfo):
    """A tar header that may not claim gigabytes for a name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type not in tarfile.REGULAR_TYPES and header.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {header.size:,} bytes")
        return header


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise EOFError unless reading ended at the end marker: tarfile takes a damaged header for the end.

    Also reads a compressed file to its end, where the checksum is.
    """
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise EOFError("its end marker is missing")
    archive.fileobj.read(2**20)
