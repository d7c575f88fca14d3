"""Print --help: what a script does, and every key in groups, with its value and the choices.

Hydra's own help takes longer than everything else at the start together, and lists schemas among the choices.
"""

import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import groupby
from typing import Any, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf

from a2u import config
from a2u.settings import keys_of

FIRST = "What to choose"
SECTIONS = {
    "Model": ("model", "upsampler"),
    "Data": ("dataset", "sample"),
    "Training and metrics": ("trainer", "metrics"),
    "Runtime": ("launcher", "runtime"),
}
KEYS, LINE = 38, 120  # columns


def help_text(about: str, config_name: str, overrides: Sequence[str]) -> str:
    """Return `about`, then every key of configs/<config_name>.yaml with its value on this command line.

    Raises:
        ConfigError: from the overrides.
    """
    cfg = config.compose(overrides, config_name)
    chosen = [group for group in ("experiment",) if "task" in cfg]  # which leaves no key of its own
    later = [key for keys in SECTIONS.values() for key in keys]
    sections = {FIRST: [*chosen, *(str(key) for key in cfg if key not in later)]}
    sections |= {title: [key for key in keys if key in cfg] for title, keys in SECTIONS.items()}
    text = [about.strip(), "", "Where the package is installed, python scripts/NAME.py is also called a2u NAME.", ""]
    text += ["Write KEY=VALUE; the values below are those of this command line."]
    for title, keys in sections.items():
        if keys:
            text += ["", f"{title}:", *(line for key in keys for line in _key(cfg, key))]
    return "\n".join(text)


def _key(cfg: DictConfig, key: str) -> Iterator[str]:
    """Return the lines of a key: for a folder of configs/ its files, for a node every key in it."""
    if key == "experiment":
        for table, rows in groupby(config.options_of(key), lambda row: row.split("/")[0]):
            yield from _wrapped(f"{key}={table}/", " | ".join(row.split("/")[1] for row in rows))
    elif (config.CONFIG_DIR / key).is_dir():
        node = cfg[key]
        is_node = isinstance(node, DictConfig)
        chosen = node.get("name", "") if is_node else node
        yield from _wrapped(f"{key}={_plain(getattr(chosen, 'name', chosen))}", " | ".join(config.options_of(key)))
        for inner in map(str, node) if is_node else ():
            if inner != "name":  # which says what was chosen
                yield from _value(node, inner, f"{key}.")
    elif OmegaConf.is_dict(cfg._get_node(key)):
        for inner in map(str, cfg[key]):
            yield from _value(cfg[key], inner, f"{key}.")
    else:
        yield from _value(cfg, key)


def _value(node: DictConfig, key: str, path: str = "") -> Iterator[str]:
    kind = OmegaConf.get_type(node)
    assert kind is not None
    value = OmegaConf.to_container(node, resolve=True, enum_to_str=True)[key]  # type: ignore[call-overload,index]
    hint = get_type_hints(kind).get(key)
    choices = " | ".join(hint.__members__) if isinstance(hint, type) and issubclass(hint, Enum) else ""
    yield from _wrapped(f"{path}{key}={_plain(value)}", "; ".join(filter(None, [choices, keys_of(kind)[key].help])))


def _wrapped(key: str, words: str) -> list[str]:
    """Return a key with its help text next to it."""
    indent = " " * (KEYS + 2)
    lines = textwrap.wrap(words, LINE - len(indent), break_long_words=False) or [""]
    start = f"  {key}" if len(key) < KEYS else f"  {key}\n{indent[:-1]}"
    return [f"{start:<{KEYS + 1}} {lines[0]}".rstrip(), *(indent + line for line in lines[1:])]


def _plain(value: Any) -> str:
    """Return a value as it is written on a command line."""
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    if value == MISSING:
        return ""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
