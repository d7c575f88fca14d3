"""Write files atomically, lock folders, hash contents."""

import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from a2u.errors import A2UError


def user_path(text: str | os.PathLike[str]) -> Path:
    """Expand ~ and ~name in a path, if there is such a home folder."""
    return Path(os.path.expanduser(text))


def check_regular(path: Path) -> None:
    """Raise OSError, which names the path, unless it is a regular file: reading a pipe could wait for ever."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device", str(path))


FULL = (errno.ENOSPC, errno.EDQUOT)


def reason(error: OSError) -> str:
    """Return why a file could not be read or written, in words."""
    return "the disk is full" if error.errno in FULL else error.strerror or str(error)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make an OSError inside name `path` if it names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path, earlier: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path next to `path`; flush it and rename it to `path` if the block succeeds.

    earlier: where to keep the file that was `path` until then; None: nowhere.

    Raises OSError that names `path` where that cannot be; what was there stays.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            if earlier is not None and path.is_file():
                path.replace(earlier)
            temporary.replace(path)
            flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder: a new name survives a power failure only once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove temporary files of killed processes; no other process may be writing to `folder`."""
    for temporary in folder.glob(".*.*.*"):
        temporary.unlink(missing_ok=True)


BUSY = "another process is running"


class BusyError(A2UError):
    """Another process is working in the same folder. Its sentence begins with BUSY."""


@contextmanager
def locked(path: Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path`; it goes with this process, however that ends, whatever it has forked.

    Raises BusyError, which names `what`, where another process holds it and `wait` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise BusyError(f"{BUSY} {what} ({path.parent}); wait for it, or stop it.") from error
    with held:
        yield


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON. Raises ValueError for NaN or infinity, which JSON does not have."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal digits. Raises OSError if it cannot be read."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
