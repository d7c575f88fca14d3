"""The estimated time left while rows run."""

import pytest

from a2u.reproduce.progress import seconds_left


def training(step, seconds, steps=100):
    return {"phase": "training", "step": step, "steps": steps, "loss": 1.0, "seconds_left": seconds}


def test_before_the_first_row_has_ended_the_others_are_taken_to_be_like_the_running_ones():
    """Half of a row takes 50 s, so a row 100; left are two halves and four rows, two at a time."""
    assert seconds_left([], [training(50, 50), training(50, 50)], 4) == pytest.approx(250)


def test_rows_that_ended_say_how_long_one_takes():
    running = [training(50, 9999), {"phase": "evaluating", "step": 25, "steps": 100, "images": 1, "of": 64}]
    assert seconds_left([80, 120], running, 3) == pytest.approx((3 + 0.5 + 0.75) * 100 / 2)
    assert seconds_left([100], [None], 0) == pytest.approx(100)  # the last one, alone, is starting


@pytest.mark.parametrize("running", [[], [None], [training(100, 0)], [{"phase": "evaluating", "step": 0, "steps": 0}]])
def test_nothing_is_said_where_nothing_is_known(running):
    assert seconds_left([], running, 5) is None
