"""Decoded images on disk, mapped into memory: data workers and processes share them, and each is decoded once."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from a2u.errors import DataError
from a2u.files import reason, replacing


class Decoded:
    """A folder of decoded images, .npy files of together `room_mb` MB (2**20 bytes) at most.

    A file that changed, by size or time, is decoded anew, and takes its former copy's place. Once the room is used up
    further images are decoded each time: which ones are kept does not change, since every image is needed as often.
    Any number of processes may use a folder at once; together they may exceed the room by an image each. It may be
    deleted at any time.
    """

    def __init__(self, folder: Path, room_mb: int) -> None:
        self._folder = folder
        self._room = room_mb * 2**20

    def __call__(self, path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
        """What `read` makes of the image at `path`: mapped read-only (np.memmap), or in memory without room.

        Raises:
            DataError: as `read` does, or nothing can be written to the folder.
        """
        try:
            stamp = path.stat()
        except OSError:
            return read(path)  # says what is the matter
        image = hashlib.sha256(f"{path.absolute()} {read.__name__}".encode()).hexdigest()[:32]
        kept = self._folder / f"{image}-{stamp.st_size}-{stamp.st_mtime_ns}.npy"
        try:
            return np.load(kept, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or damaged
            pixels = read(path)
        try:
            for former in set(self._folder.glob(f"{image}-*")) - {kept}:
                former.unlink(missing_ok=True)
            if self._used() + pixels.nbytes > self._room:
                return pixels
            with replacing(kept) as temporary:
                with temporary.open("wb") as file:
                    np.save(file, pixels, allow_pickle=False)
                return np.load(temporary, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise DataError(
                f"{self._folder} cannot keep decoded images ({reason(error)}): "
                "set dataset.decoded to a folder with room, or to null"
            ) from error

    def _used(self) -> int:
        """Bytes of the images kept; one that goes meanwhile counts nothing."""
        used = 0
        for path in self._folder.glob("*.npy"):
            try:
                used += path.stat().st_size
            except FileNotFoundError:
                continue
        return used
