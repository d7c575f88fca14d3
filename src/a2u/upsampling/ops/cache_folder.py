"""Where compiled code is kept: in the home, or in a temporary folder if that cannot be written, as in a container."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of this project's compiled code: of this user alone, since it will be run."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(home) / "a2u"
    if _can_be_written(folder):
        about = folder.stat()
        is_own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
        if is_own and not about.st_mode & 0o022:
            return folder
    return temporary_folder()


def give_triton_a_folder() -> None:
    """Let Triton keep its kernels in a temporary folder if it cannot write to its own, which it would not survive."""
    home = os.environ.get("TRITON_HOME") or os.path.expanduser("~")
    if not _can_be_written(Path(os.environ.get("TRITON_CACHE_DIR") or os.path.join(home, ".triton", "cache"))):
        os.environ["TRITON_CACHE_DIR"] = str(temporary_folder() / "triton")


@cache
def temporary_folder() -> Path:
    """Return a folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix="a2u-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
