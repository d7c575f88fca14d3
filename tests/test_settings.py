"""Declared keys: their ranges, and which are part of a run's identity."""

from dataclasses import dataclass

import pytest
from omegaconf import MISSING, OmegaConf

from a2u.config import compose
from a2u.engine.identity import identity
from a2u.errors import ConfigError
from a2u.settings import SCHEMAS, field, keys_of, plain, validate


@dataclass
class Base:
    count: int = field(3, "how many", least=1, most=9)
    rate: float | None = field(None, above=0)
    sizes: list[int] = field([1, 2], least=0)

    def check(self) -> None:
        if self.count in self.sizes:
            raise ConfigError("count must not be among sizes.")


@dataclass
class Derived(Base):
    count: int = 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": 0}, "part.count must be at least 1; got 0."),
        ({"count": 10}, "part.count must be at most 9; got 10."),
        ({"rate": 0.0}, "part.rate must be positive; got 0.0."),
        ({"rate": float("nan")}, "part.rate must be a finite number; got nan."),
        ({"sizes": [1, -1]}, "part.sizes must be at least 0; got [1, -1]."),
        ({"count": 2}, "count must not be among sizes."),
    ],
)
def test_a_value_that_cannot_be_is_refused(values, words):
    with pytest.raises(ConfigError) as refused:
        validate(Base(**values), "part.")
    assert str(refused.value) == words


def test_another_default_keeps_what_is_declared():
    assert keys_of(Derived)["count"] == keys_of(Base)["count"]
    with pytest.raises(ConfigError, match="at least 1"):
        validate(Derived(count=0))
    assert Base().sizes is not Base().sizes


def test_every_default_can_be():
    for kind in SCHEMAS.values():
        settings = kind()
        if MISSING not in vars(settings).values():
            validate(settings)


def test_only_what_changes_a_run_changes_its_identity():
    first = identity(compose())
    same = ["table=a", "row=b", "runtime.threads=1", "dataset.cache=null", "task=matting"]
    for override in same:
        assert identity(compose([override])) == first, override
    for override in ("seed=1", "dataset.seed=1", "dataset.trimap=3", "sample.noise=1", "trainer.accumulate=2"):
        assert identity(compose([override])) != first, override
    adobe = [["dataset=adobe", f"dataset.root='{root}'"] for root in ("~/a", "~/b/../a", "~/b")]
    (one, again, other) = (identity(compose(overrides)) for overrides in adobe)
    assert one == again != other
    mnist = [["task=reconstruction", "dataset=mnist", *root] for root in ([], ["dataset.root=/elsewhere"])]
    assert len({identity(compose(overrides)) for overrides in mnist}) == 1


def test_a_result_older_than_a_key_has_the_identity_of_its_default():
    cfg = compose(["upsampler=carafe"])
    older = plain(cfg)
    del older["dataset"]["trimap"], older["sample"]["noise"], older["upsampler"]["groups"], older["model"]["encoder"]
    for key in ("clip_norm", "accumulate", "precision"):
        del older["trainer"][key]
    assert identity(OmegaConf.create(older)) == identity(cfg)
