"""The words of the conclusion in every case."""

import re

import pytest

from a2u.reproduce.paired import Difference
from a2u.reproduce.study.conclusion import Setting, conclusion, finding, hypotheses, p_words, percent
from a2u.reproduce.study.findings import Findings

SETTING = Setting("study", 0.125, 5000, 256)
BETTER, WORSE = Difference(6, -5, -7, -3, 0.01, -2.0), Difference(6, 5, 3, 7, 0.01, 2.0)
SAME, UNDECIDED = Difference(6, 0.1, -1, 1.2, 1.0, 0.1), Difference(6, 1, -3, 5, 0.6, 0.3)
ROWS = ("bilinear", "carafe", "indexnet", "a2u_static_cw", "a2u_dynamic_cs")


def found(*each, pairs=None, tau=0.2, tau_p=0.6):
    rows = dict(zip(ROWS, each, strict=True))
    return Findings(
        6, rows, {row: {} for row in rows}, dict.fromkeys(rows, -1.0), pairs or {("a", "b"): SAME}, tau, tau_p
    )


NOTHING, ALIKE = found(*[UNDECIDED] * 5), found(*[SAME] * 5)
MIXED = found(SAME, WORSE, BETTER, UNDECIDED, UNDECIDED)
CASES = [NOTHING, ALIKE, MIXED, found(*[BETTER] * 5), found(*[WORSE] * 5), found(SAME, WORSE, SAME, SAME, SAME)]


@pytest.mark.parametrize(
    ("case", "sentences"),
    [
        (
            NOTHING,
            [
                "None of the five other operators is shown to be better or worse than nearest.",
                "Undecided are all of them, with 95% intervals of ±4.0%: neither a difference nor its absence is shown",
                "Of the paper's 4 claims that a row is better or worse than nearest: open 4.",
                "Of the 1 pairs of A2U rows none is shown to differ.",
                "The order of the rows is not shown to be the paper's, nor its reverse (Kendall's τ +0.20, p 0.600).",
            ],
        ),
        (
            ALIKE,
            [
                "None of the five other operators is shown to be better or worse than nearest.",
                "A difference that would matter, of more than 2.2%, is ruled out for all of them.",
                "not supported 4.",
            ],
        ),
        (
            MIXED,
            [
                "One of the five other operators is better than nearest: indexnet (-5.0% of nearest's SAD, 95% inter",
                "One is worse: carafe (+5.0% of nearest's SAD, 95% interval +3.0% to +7.0%).",
                "of more than 2.2%, is ruled out for bilinear.",
                "Undecided are a2u_static_cw and a2u_dynamic_cs, with 95% intervals of ±4.0%: neither",
                "supported 2, open 2.",
            ],
        ),
        (found(*[WORSE] * 5), ["All five other operators are worse than nearest: bilinear (+5.0% of nearest's SAD"]),
        (found(*[SAME] * 4, UNDECIDED), ["Undecided is a2u_dynamic_cs, with 95% intervals of ±4.0%: neither"]),
        (
            found(SAME, Difference(6, 0.5, 0.3, 0.7, 0.01, 3.0), SAME, SAME, SAME),
            ["carafe (+0.5% of nearest's SAD, 95% interval +0.3% to +0.7%, all of it within the ±2.2% that would not"],
        ),
        (
            found(*[UNDECIDED] * 4, Difference(6, 1, -1.55, 3.55, 0.6, 0.3)),
            ["Undecided are all of them, with 95% intervals of ±2.5% to ±4.0%:"],
        ),
        (found(*[SAME] * 5, tau=0.7, tau_p=0.0001), ["nearer to the paper's than chance would have it", "p <0.001"]),
        (found(*[SAME] * 5, tau=-0.7, tau_p=0.01), ["nearer to the reverse of the paper's than chance would have it"]),
        (
            found(*[SAME] * 5, pairs={("a", "b"): BETTER, ("a", "c"): SAME}),
            ["Of the 2 pairs of A2U rows 1 differs: a is better than b."],
        ),
        (
            found(*[SAME] * 5, pairs={("a", other): WORSE for other in "bcde"}),
            ["4 differ: a is worse than b, a is worse than c and a is worse than d, most clearly."],
        ),
    ],
)
def test_every_case_has_its_sentence(case, sentences):
    said = conclusion(case, SETTING)
    for sentence in sentences:
        assert sentence in said


@pytest.mark.parametrize("case", CASES)
def test_the_limits_are_always_said(case):
    said = conclusion(case, SETTING)
    assert "networks of an eighth of the width, trained on generated mattes for 5,000 steps with 6 seeds" in said
    assert "neither confirms nor refutes the paper's numbers" in said
    assert "0.5 times the width" in conclusion(case, Setting("custom", 0.5, 5000, 256))


@pytest.mark.parametrize("case", CASES)
def test_the_finding_is_two_sentences_that_count_every_operator(case):
    said = finding(case, SETTING)
    assert len(re.findall(r"[a-z%]\.(?= |$)", said)) == 2
    assert said.endswith("neither confirms nor refutes the paper's numbers.")
    words = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
    counted = [words[word] for word in re.findall(r"(?:% for|leaves) (\w+)", said)]
    assert sum(counted) + len(re.findall(r"\w+ \([-+]\d", said)) == 5


def test_the_finding_names_what_was_shown():
    shown = (
        "shows indexnet (-5.0%) better and carafe (+5.0%) worse than nearest, rules out a difference of more than 2.2% "
    )
    assert f"{shown}for one and leaves two undecided, with 95% intervals of ±4.0%." in finding(MIXED, SETTING)
    assert (
        "shows no operator better or worse than nearest and leaves five undecided, with 95% intervals of ±4.0%."
        in finding(NOTHING, SETTING)
    )


@pytest.mark.parametrize(("p", "words"), [(0.0004, "<0.001"), (0.0123, "0.012"), (0.0497, "0.0497"), (0.05, "0.050")])
def test_a_p_value_is_on_its_side_of_5_percent(p, words):
    assert p_words(p) == words


@pytest.mark.parametrize(("value", "words"), [(-0.04, "+0.0%"), (0.0, "+0.0%"), (-0.06, "-0.1%"), (12.34, "+12.3%")])
def test_percent(value, words):
    assert percent(value) == words


def test_a_hypothesis_is_told_row_by_row():
    assert hypotheses(MIXED) == [
        "H1, what the paper finds better than nearest is better: supported for indexnet; open for a2u_static_cw and "
        "a2u_dynamic_cs.",
        "H2, bilinear and nearest do not differ by more than 2.2%: supported for bilinear.",
        "H3, carafe is worse than nearest: supported for carafe.",
        "H4, the A2U rows differ among each other: open.",
        "H5, the order of the rows is the paper's: open.",
    ]
