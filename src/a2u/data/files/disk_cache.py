"""Cache decoded images on disk, memory-mapped: each is decoded once and shared by data workers and processes."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from a2u.errors import DataError
from a2u.files import reason, replacing


class DiskCache:
    """A folder of decoded images as .npy files, at most `room_mb` MB (2**20 bytes) together.

    An image file whose size or time changed is decoded again and its old copy replaced. When the room is used up,
    further images are decoded on every use; nothing is evicted, since every image is needed equally often. Any number
    of processes may share a folder; together they may exceed the room by one image each. The folder may be deleted at
    any time.
    """

    def __init__(self, folder: Path, room_mb: int) -> None:
        self._folder = folder
        self._room = room_mb * 2**20

    def __call__(self, path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
        """Return what `read` makes of the image at `path`: a read-only np.memmap, or a plain array without room.

        Raises:
            DataError: as for `read`, or the folder cannot be written.
        """
        try:
            stat = path.stat()
        except OSError:
            return read(path)  # raises the sentence that explains it
        image = hashlib.sha256(f"{path.absolute()} {read.__name__}".encode()).hexdigest()[:32]
        kept = self._folder / f"{image}-{stat.st_size}-{stat.st_mtime_ns}.npy"
        try:
            return np.load(kept, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or damaged
            pixels = read(path)
        try:
            for old in set(self._folder.glob(f"{image}-*")) - {kept}:
                old.unlink(missing_ok=True)
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
        """Return the bytes of all cached images; another process may delete one meanwhile."""
        used = 0
        for path in self._folder.glob("*.npy"):
            try:
                used += path.stat().st_size
            except FileNotFoundError:
                continue
        return used
