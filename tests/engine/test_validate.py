"""The table of ranges against the configurations; what is refused stands in tests/robustness/test_configuration.py."""

from a2u.config import compose, plain
from a2u.engine.validate import POSITIVE, RANGES, values


def test_every_range_is_of_a_key_that_there_is():
    """One that was renamed would be checked no more."""
    whole = [["scale=paper"], ["dataset=adobe"], ["task=reconstruction", "dataset=mnist"]]
    known = {key for overrides in whole for key, _ in values(plain(compose(overrides)))}
    known |= {key for key, _ in values(plain(compose([], "predict")))}
    assert {*RANGES, *POSITIVE} <= known
