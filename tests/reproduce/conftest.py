"""Tables are asked for again and again with the same words, which takes a tenth of a second per row to compose."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig

from a2u import config

OUTPUTS = re.compile(r"runtime\.outputs='([^'\\$]*)'")


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """Compose the same overrides once, wherever their results go."""
    compose = config.hydra_compose

    @cache
    def once(folder: Path, name: str, overrides: tuple[str, ...]) -> DictConfig:
        return compose(name, overrides=list(overrides))

    def hydra_compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
        places = list(filter(None, map(OUTPUTS.fullmatch, overrides)))
        others = tuple(word for word in overrides if not OUTPUTS.fullmatch(word))
        cfg = once(config.CONFIG_DIR, name, others).copy()
        for place in places:
            cfg.runtime.outputs = place[1]
        return cfg

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "hydra_compose", hydra_compose)
        yield
