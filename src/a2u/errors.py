"""Errors the user can fix: one sentence each, saying what was found, where, and what to do."""

import difflib
from collections.abc import Iterable


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
