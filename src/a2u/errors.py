"""Errors the user can fix: one sentence each, saying what was found, where, and what to do."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Packages of the extra "experiments", as they are imported.
EXPERIMENTS = frozenset(
    {
        *("PIL", "cv2", "filelock", "hydra", "jinja2", "numpy", "omegaconf"),
        *("safetensors", "scipy", "tensorboard", "torchvision", "tqdm"),
    }
)


class A2UError(Exception):
    """Base of the errors that the scripts print as one sentence, without a traceback."""


class DataError(A2UError, ValueError):
    """A dataset folder, an image or a pair of images cannot be used."""


class ConfigError(A2UError, ValueError):
    """A configuration has an unknown key, a wrong type or an impossible combination."""


class NoPlaceError(ConfigError):
    """A network has no place for a row's operator or loss: a table leaves the row out."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the most similar of the `known` names as a question to append to a sentence; empty if none is similar."""
    alike = difflib.get_close_matches(given, list(known), n=1)
    return f" Did you mean {alike[0]!r}?" if alike else ""


# What a terminal obeys instead of showing it, and what turns the direction of writing.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROL |= {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def printable(text: str, keep: str = "") -> str:
    r"""Replace control characters, except those in `keep`, by their escapes.

    >>> print(printable("\x1b[31mred"))
    \x1b[31mred
    """
    return text.translate({code: escape for code, escape in _CONTROL.items() if chr(code) not in keep})


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra: in a checkout, or of the installed package."""
    in_checkout = (Path(__file__).parents[2] / "pyproject.toml").is_file()
    return f'`pip install -e ".[{extra}]"`' if in_checkout else f'`pip install "a2u[{extra}]"`'


class MissingPackageError(A2UError, ModuleNotFoundError):
    """A package of the extra "experiments" is not installed."""


@contextmanager
def needs_experiments(what: str) -> Iterator[None]:
    """Make the import of a missing package of EXPERIMENTS say that `what` needs it (MissingPackageError)."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXPERIMENTS:
            raise
        sentence = f"{what} needs the package {error.name}; install it with {how_to_install('experiments')}"
        raise MissingPackageError(sentence, name=error.name) from error
