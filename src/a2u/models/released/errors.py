"""What can be wrong with somebody else's weights."""

from a2u.errors import A2UError


class ReleasedError(A2UError, ValueError):
    """A weights file that cannot be read, or whose tensors are not those of the system."""
