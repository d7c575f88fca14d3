"""Errors that are the user's to mend: one sentence each, saying what was found, where, and what to do."""


class A2UError(Exception):
    """Base of the errors that the scripts print as one sentence, without a traceback."""


class DataError(A2UError, ValueError):
    """A dataset folder, an image or a pair of images is not what it has to be."""


class ConfigError(A2UError, ValueError):
    """A configuration names an unknown key, a wrong type or an impossible combination."""
