"""What is concluded, in words: one sentence for every case, whether something was found or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from a2u.reproduce.paired import LEVEL, Difference
from a2u.reproduce.study.findings import Findings, Outcome, Verdict, matters_not, outcomes
from a2u.reproduce.study.protocol import BASELINE, MATTERS

WIDTHS = {0.125: "an eighth of the width", 0.25: "a quarter of the width"}
CLAIMS = {
    "H1": f"what the paper finds better than {BASELINE} is better",
    "H2": f"bilinear and {BASELINE} do not differ by more than {MATTERS:g}%",
    "H3": f"carafe is worse than {BASELINE}",
    "H4": "the A2U rows differ among each other",
    "H5": "the order of the rows is the paper's",
}
SHOWN = 3  # of pairs that differ; the table has all


@dataclass(frozen=True)
class Setting:
    """What the findings are about."""

    scale: str
    width: float  # of the networks, full width being 1
    steps: int
    test_images: int


def conclusion(found: Findings, setting: Setting) -> str:
    """One paragraph."""
    sentences = [*_of_rows(found), *_of_claims(found), *_of_pairs(found), *_of_order(found), _limits(found, setting)]
    return " ".join(sentences)


def finding(found: Findings, setting: Setting) -> str:
    """Two sentences for who reads no further: the finding, and its limits."""
    better, worse = (_with_means(found, found.rows_with(verdict)) for verdict in (Verdict.better, Verdict.worse))
    same, undecided = found.rows_with(Verdict.same), found.rows_with(Verdict.undecided)
    shown = _joined([f"{rows} {word}" for rows, word in ((better, "better"), (worse, "worse")) if rows])
    said = [f"shows {shown or 'no operator better or worse'} than {BASELINE}"]
    said += [f"rules out a difference of more than {MATTERS:g}% for {_number(len(same))}"] * bool(same)
    if undecided:
        said.append(f"leaves {_number(len(undecided))} undecided, with 95% intervals of {_widths(found, undecided)}")
    return (
        f"The open study trains the operators of Table 2 with {found.seeds} seeds each and, in SAD on "
        f"{setting.test_images} generated images that nothing was chosen on, {_joined(said)}. It is about networks of "
        f"{_width(setting)} after {setting.steps:,} steps on generated mattes, and neither confirms nor refutes the "
        "paper's numbers."
    )


def hypotheses(found: Findings) -> list[str]:
    """A line for each: what it says, and what came out."""
    lines = []
    for name, of_rows in outcomes(found).items():
        groups: dict[str, list[str]] = {}
        for row, outcome in of_rows.items():
            groups.setdefault(outcome.value, []).append(row)
        said = [f"{outcome} for {_joined(rows)}" if rows != [""] else outcome for outcome, rows in groups.items()]
        if said:
            lines.append(f"{name}, {CLAIMS[name]}: {'; '.join(said)}.")
    return lines


def _of_rows(found: Findings) -> list[str]:
    better, worse, same, undecided = (found.rows_with(verdict) for verdict in Verdict)
    others = f"{_number(len(found.rows))} other operators"
    every = len(better) == len(found.rows) or len(worse) == len(found.rows)
    text: list[str] = []
    for rows, word in ((better, "better"), (worse, "worse")):
        if rows:
            count = f"{_number(len(rows))} {_verb(rows, 'is', 'are')} {word}"
            if not text:
                count = f"all {others}" if every else f"{_number(len(rows))} of the {others}"
                count += f" {_verb(rows, 'is', 'are')} {word} than {BASELINE}"
            text.append(f"{count.capitalize()}: {_with_intervals(found, rows)}.")
    if not text:
        text.append(f"None of the {others} is shown to be better or worse than {BASELINE}.")
    if same:
        text.append(f"A difference that would matter, of more than {MATTERS:g}%, is ruled out for {_all(found, same)}.")
    if undecided:
        text.append(
            f"Undecided {_verb(undecided, 'is', 'are')} {_all(found, undecided)}, with 95% intervals of "
            f"{_widths(found, undecided)}: neither a difference nor its absence is shown, and more seeds would be "
            "needed."
        )
    return text


def _of_claims(found: Findings) -> list[str]:
    """How many of the paper's claims about single rows hold here: H1 and H3."""
    of_rows = outcomes(found)
    claims = list((of_rows["H1"] | of_rows["H3"]).values())
    if not claims:
        return []
    counts = [f"{outcome.value} {claims.count(outcome)}" for outcome in Outcome if outcome in claims]
    return [f"Of the paper's {len(claims)} claims that a row is better or worse than {BASELINE}: {', '.join(counts)}."]


def _of_pairs(found: Findings) -> list[str]:
    if not found.pairs:
        return []
    count, different = len(found.pairs), found.different
    if not different:
        return [f"Of the {count} pairs of A2U rows none is shown to differ."]
    clear = [
        f"{first} is {'better' if each.mean < 0 else 'worse'} than {second}"
        for (first, second), each in different.items()
    ]
    which = _joined(clear[:SHOWN]) + (", most clearly" if len(clear) > SHOWN else "")
    return [f"Of the {count} pairs of A2U rows {len(clear)} {_verb(clear, 'differs', 'differ')}: {which}."]


def _of_order(found: Findings) -> list[str]:
    if found.tau is None or found.tau_p is None:
        return []
    numbers = f"Kendall's τ {found.tau:+.2f}, p {p_words(found.tau_p)}"
    if found.tau_p >= LEVEL:
        return [f"The order of the rows is not shown to be the paper's, nor its reverse ({numbers})."]
    if found.tau > 0:
        return [f"The order of the rows is nearer to the paper's than chance would have it ({numbers})."]
    return [f"The order of the rows is nearer to the reverse of the paper's than chance would have it ({numbers})."]


def _limits(found: Findings, setting: Setting) -> str:
    return (
        f"This is a statement about networks of {_width(setting)}, trained on generated mattes for {setting.steps:,} "
        f"steps with {found.seeds} seeds and measured on {setting.test_images} generated images. It neither confirms "
        "nor refutes the paper's numbers, which are about a network of full width on Composition-1k; other training "
        "data, settings and test images are not in its intervals."
    )


def p_words(p: float) -> str:
    """A p-value to three places, and to as many as tell it from 5%."""
    places = 3
    while (float(f"{p:.{places}f}") < LEVEL) != (p < LEVEL):
        places += 1
    return "<0.001" if p < 0.001 else f"{p:.{places}f}"


def percent(value: float) -> str:
    """With its sign, to one place; what rounds to zero has a plus."""
    return f"{round(value, 1) + 0.0:+.1f}%"


def _with_intervals(found: Findings, rows: Sequence[str]) -> str:
    return _joined([f"{row} ({_with_interval(found.rows[row])})" for row in rows])


def _with_interval(each: Difference) -> str:
    small = f", all of it within the ±{MATTERS:g}% that would not matter" if matters_not(each) else ""
    return f"{percent(each.mean)} of {BASELINE}'s SAD, 95% interval {percent(each.low)} to {percent(each.high)}{small}"


def _widths(found: Findings, rows: Sequence[str]) -> str:
    """How far the intervals of some rows reach to either side of the mean."""
    widths = [(found.rows[row].high - found.rows[row].low) / 2 for row in rows]
    return " to ".join(dict.fromkeys(f"±{width:.1f}%" for width in (min(widths), max(widths))))


def _with_means(found: Findings, rows: Sequence[str]) -> str:
    return _joined([f"{row} ({percent(found.rows[row].mean)})" for row in rows])


def _all(found: Findings, rows: Sequence[str]) -> str:
    return _joined(rows) if len(rows) < len(found.rows) else "all of them"


def _joined(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c" """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _number(count: int) -> str:
    small = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return small[count] if count < len(small) else str(count)


def _verb(of: Sequence[object], one: str, several: str) -> str:
    return one if len(of) == 1 else several


def _width(setting: Setting) -> str:
    return WIDTHS.get(setting.width, f"{setting.width:g} times the width")
