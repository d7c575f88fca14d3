"""The generated dataset: lazy, cached, the same in every process."""

import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from a2u.data.sampling.trimaps import trimap_from_alpha
from a2u.data.sources import synthetic as module
from a2u.data.sources.synthetic import SyntheticConfig
from a2u.data.synthetic import generate_background, generate_composite, generate_layer
from a2u.errors import ConfigError, DataError
from a2u.settings import validate


@pytest.fixture
def cfg(tmp_path: Path) -> SyntheticConfig:
    return SyntheticConfig(
        cache=str(tmp_path / "cache"),
        train_layers=5,
        train_backgrounds=3,
        train_size=32,
        test_images=4,
        test_size=48,
        seed=11,
    )


def files(cfg: SyntheticConfig) -> list[str]:
    root = Path(str(cfg.cache))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def assert_same(left: tuple[object, ...], right: tuple[object, ...]) -> None:
    assert left[0] == right[0]
    for one, other in zip(left[1:], right[1:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cached", [True, False])
def test_items_are_the_generator_s(cfg: SyntheticConfig, cached: bool) -> None:
    cfg = cfg if cached else replace(cfg, cache=None)
    for _ in range(2):  # generated, then read from the cache
        data = cfg.build()
        assert data.layers is not None
        assert data.backgrounds is not None
        assert (len(data.layers), len(data.backgrounds), len(data.test)) == (5, 3, 4)
        for index in (4, 0):
            assert_same(data.layers[index], generate_layer(11, index, 32, "train"))
            assert data.layers[index].name == data.layer_names[index]
        np.testing.assert_array_equal(data.backgrounds[2], generate_background(11, 2, 32, "train"))
        assert_same(data.test[3], generate_composite(11, 3, 48))
        assert data.test[3].name == data.test_names[3]


def test_validation_pictures_are_others_of_the_same_kind(cfg: SyntheticConfig) -> None:
    test, validation = cfg.build(), replace(cfg, test=module.Split.validation).build()
    assert validation.test_names == [name.replace("test", "validation") for name in test.test_names]
    assert not np.array_equal(validation.test[1].alpha, test.test[1].alpha)
    again = replace(cfg, test=module.Split.validation).build().test[1]  # from the cache
    assert (again.name, again.image.tobytes()) == (validation.test_names[1], validation.test[1].image.tobytes())
    assert test.layers is not None
    assert validation.layers is not None
    assert np.array_equal(validation.layers[0].alpha, test.layers[0].alpha)


def test_trimaps_of_one_width_change_nothing_else(cfg: SyntheticConfig) -> None:
    drawn, even = cfg.build(), replace(cfg, trimap=7).build()
    for index in range(len(even.test)):
        case, other = even.test[index], drawn.test[index]
        assert_same(case, other._replace(trimap=trimap_from_alpha(other.alpha, 7, 7)))
    assert even.test_names == drawn.test_names
    sums = [replace(cfg, trimap=width).build().checksum() for width in (None, 7, 9)]
    assert len(set(sums)) == 3


def test_only_what_is_asked_for_is_generated_and_once(cfg: SyntheticConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cfg.build()
    assert data.layers is not None
    assert files(cfg) == []
    first = data.layers[2]
    assert files(cfg) == ["synthetic-v1-seed11-size32/train/layer_0002.npz"]
    assert data.layers[2] is first  # from memory

    def no_generator(*_: object, **__: object) -> None:
        raise AssertionError("generated again")

    monkeypatch.setattr(module, "generate_layer", no_generator)
    again = cfg.build().layers
    assert again is not None
    assert_same(again[2], first)
    with pytest.raises(AssertionError, match="generated again"):
        again[1]


def test_without_a_cache_nothing_is_written(
    cfg: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = replace(cfg, cache=None)
    cfg.prepare()
    cfg.build().checksum()
    assert list(tmp_path.iterdir()) == []


def test_limits(cfg: SyntheticConfig) -> None:
    data = replace(cfg, limit_train=2, limit_test=1).build()
    assert data.layers is not None
    assert data.backgrounds is not None
    assert (len(data.layers), len(data.backgrounds), len(data.test)) == (2, 2, 1)
    assert data.layer_names == ["train_hair_0000", "train_net_0001"]
    assert data.test_names == ["test_hair_0000"]
    assert [layer.name for layer in data.layers] == data.layer_names  # iteration ends
    with pytest.raises(IndexError):
        data.layers[2]
    with pytest.raises(IndexError):
        data.layers[-1]
    more = replace(cfg, limit_train=100, limit_test=100).build()
    assert (len(more.layer_names), len(more.test_names)) == (5, 4)


def test_items_cannot_be_changed_by_accident(cfg: SyntheticConfig) -> None:
    for _ in range(2):  # generated and cached
        case = cfg.build().test[0]
        with pytest.raises(ValueError, match="read-only"):
            case.alpha[0, 0] = 7


def test_prepare_fills_the_cache_and_reports_progress(cfg: SyntheticConfig) -> None:
    reported: list[tuple[int, int]] = []
    replace(cfg, limit_test=2).prepare(lambda done, total: reported.append((done, total)))
    assert reported == [(done, 10) for done in range(1, 11)]
    assert len(files(cfg)) == 10
    cfg.prepare()
    assert len(files(cfg)) == 12


def test_several_processes_fill_it_with_the_same_bytes(
    cfg: SyntheticConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORTH_PROCESSES", 0)
    other = replace(cfg, cache=str(tmp_path / "other"))
    reported: list[tuple[int, int]] = []
    cfg.prepare()
    other.prepare(lambda done, total: reported.append((done, total)), processes=2)
    assert reported == [(done, 12) for done in range(1, 13)]
    for name in files(cfg):
        assert (Path(str(cfg.cache)) / name).read_bytes() == (Path(str(other.cache)) / name).read_bytes()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be cached"):  # what stops one of them is reported
        replace(cfg, cache=str(tmp_path / "file")).prepare(processes=2)


def damage_first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_everything(_: bytes) -> bytes:
    return b""


def damage_one_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def damage_kind(_: bytes) -> bytes:
    return b"not an archive at all"


@pytest.mark.parametrize("damage", [damage_first_half, damage_everything, damage_one_bit, damage_kind])
def test_a_damaged_file_is_reported_and_replaced(
    cfg: SyntheticConfig, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    path = Path(str(cfg.cache)) / "synthetic-v1-seed11-size48/test/composite_0001.npz"
    good = cfg.build().test[1]
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert_same(cfg.build().test[1], good)
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    caplog.clear()
    assert_same(cfg.build().test[1], good)  # the file was replaced
    assert caplog.text == ""


def test_two_processes_at_the_same_time(cfg: SyntheticConfig) -> None:
    program = (
        "from a2u.data.sources.synthetic import SyntheticConfig;"
        f"SyntheticConfig(cache={cfg.cache!r}, train_layers=5, train_backgrounds=3, train_size=32,"
        " test_images=4, test_size=48, seed=11).prepare()"
    )
    other = subprocess.Popen([sys.executable, "-c", program])
    while other.poll() is None and not files(cfg):  # until it has begun
        time.sleep(0.001)
    cfg.prepare()
    assert other.wait() == 0
    assert len(files(cfg)) == 12
    assert all(name.endswith(".npz") for name in files(cfg))  # no part files stay behind
    assert cfg.build().checksum() == replace(cfg, cache=None).build().checksum()


def test_checksum_differs_between_test_sets(cfg: SyntheticConfig) -> None:
    cfg = replace(cfg, cache=None)
    first = cfg.build().checksum()
    assert len(first) == 64
    assert replace(cfg, train_size=40, limit_train=1).build().checksum() == first  # of the test set alone
    others = [replace(cfg, seed=12), replace(cfg, limit_test=3), replace(cfg, test_size=49)]
    assert len({first, *(other.build().checksum() for other in others)}) == 4


def test_data_can_be_pickled_for_workers(cfg: SyntheticConfig) -> None:
    data = cfg.build()
    case = data.test[1]
    assert_same(pickle.loads(pickle.dumps(data)).test[1], case)


def test_a_cache_that_cannot_be_written(cfg: SyntheticConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    data = replace(cfg, cache=str(tmp_path / "file")).build()
    with pytest.raises(DataError, match=r"cannot be cached as .*layer_0000\.npz.*`cache`"):
        replace(cfg, cache=str(tmp_path / "file")).prepare()
    with pytest.raises(DataError, match="cannot be cached"):
        data.test[0]


@pytest.mark.parametrize(
    ("key", "value", "lowest"),
    [
        ("train_size", 31, 32),
        ("test_size", 0, 32),
        ("limit_test", 0, 1),
        ("train_layers", -1, 0),
        ("seed", -1, 0),
        ("trimap", 0, 1),
    ],
)
def test_values_out_of_range_are_refused(cfg: SyntheticConfig, key: str, value: int, lowest: int) -> None:
    with pytest.raises(ConfigError, match=f"^dataset.{key} must be at least {lowest}; got {value}"):
        validate(replace(cfg, **{key: value}), "dataset.")
