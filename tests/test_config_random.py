"""Any overrides: a configuration with a lasting identity, or one line that names the key."""

import json
from functools import cache

from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from a2u.config import compose, options_of, refuse_incomplete
from a2u.engine.identity import identity
from a2u.engine.prepare import check
from a2u.errors import ConfigError
from a2u.settings import plain

BASES = [
    ["upsampler=a2u"],
    ["model=gca"],
    ["model=indexnet_matting"],
    ["dataset=adobe"],
    ["experiment=table2/a2u_dynamic_cs_d"],
    ["task=reconstruction", "upsampler=carafe", "dataset=mnist"],
]
# What people write, and what parsers and numbers stumble over.
VALUES = ["", "0", "-1", "1", "16", "1.5", "1e400", "nan", "-inf", "9" * 25, "true", "null", "None", "???", "a,b", "[]"]
VALUES += ["[1,a]", "[-1]", "{}", "{a: 1}", "[1", '"', "'", "=", "~", "${seed}", "${nothing}", "${times:2,3}", "é灰"]
VALUES += ["'a b'", "'/no/where'", "range(1,3)", "static", "smoke", "\t"]
GROUPS = ["model", "upsampler", "dataset", "sample", "trainer", "metrics", "scale", "task", "experiment"]


@cache
def keys(base):
    """Every key of a configuration, nodes too."""

    def below(node, path):
        for key, value in node.items():
            yield path + key
            if isinstance(value, dict):
                yield from below(value, f"{path}{key}.")

    return list(below(plain(compose(base)), ""))


def numbers():
    return st.integers(-(2**40), 2**40).map(str) | st.integers(-3, 70).map(str) | st.floats().map(str)


@st.composite
def overrides(draw):
    base = draw(st.sampled_from(BASES))
    given = []
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.integers(0, 5)) == 0:
            group = draw(st.sampled_from(GROUPS))
            given.append(f"{group}={draw(st.sampled_from(options_of(group)))}")
            continue
        key = draw(st.sampled_from(keys(tuple(base))))
        key = draw(st.sampled_from([key] * 6 + [key + "s", key[:-1], key.upper()]))  # sometimes misspelt
        prefix = draw(st.sampled_from([""] * 6 + ["+", "++", "~"]))
        values = st.sampled_from(VALUES) | numbers() | st.text(max_size=4)
        given.append(f"{prefix}{key}={draw(values)}")
    return [*base, "scale=smoke", *given]


@given(overrides())
def test_composes_to_a_lasting_identity_or_says_in_a_line_which_key(overrides):
    try:
        cfg = compose(overrides)
        refuse_incomplete(cfg)
        check(cfg)
    except ConfigError as error:
        said = str(error)
        assert len(said.splitlines()) == 1
        named = [part for override in overrides for part in (override, *override.lstrip("+~").split("=")[0].split("."))]
        # one that was not given may not go with them; an operator's options are named as "upsampler=a2u: rank"
        named += [key for key in keys(("upsampler=a2u",)) if "." in key] + ["upsampler="]
        assert any(part and part in said for part in named), said
        return
    kept = json.loads(json.dumps(plain(cfg), allow_nan=False))  # as a result and a checkpoint keep it
    assert identity(OmegaConf.create(kept)) == identity(cfg)
