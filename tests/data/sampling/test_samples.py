"""Training samples: independent of the number of workers and of resuming."""

import itertools
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from a2u.data.sampling.samples import EpochSampler, TrainingSamples
from a2u.data.sampling.settings import SampleConfig
from a2u.data.types import Layer, MattingData
from a2u.errors import DataError
from a2u.network_input import network_input

CFG = SampleConfig(crop=32, resize_to=40, trimap_max=5, rotation_min_side=64)


class Recorded(list):
    """A list that records which of its items were read."""

    def __init__(self, items=()):
        super().__init__(items)
        self.asked: list[int] = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)

    def name(self, index):
        return f"picture {index}"


def matting_data(layers: int = 5, backgrounds: int = 3) -> MattingData:
    rng = np.random.default_rng(0)
    names = [f"layer {index}" for index in range(layers)]

    def colours() -> np.ndarray:
        return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)

    def alpha() -> np.ndarray:
        coarse = rng.integers(-300, 600, (5, 5)).astype(np.float32)
        return np.clip(cv2.resize(coarse, (64, 64)), 0, 255).astype(np.uint8)

    return MattingData(
        layers=Recorded(Layer(name, colours(), alpha()) for name in names),
        layer_names=names,
        backgrounds=Recorded(colours() for _ in range(backgrounds)),
        test=[],
        test_names=[],
        checksum=lambda: "",
    )


WORDS = ("name", "origin")


def samples(data: MattingData | None = None, cfg: SampleConfig = CFG, seed: int = 1, length=12):
    return TrainingSamples(data or matting_data(), cfg, seed, length)


def equal(first, second) -> bool:
    return all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def test_what_a_sample_holds():
    for index in range(10):
        sample = samples()[0, index]
        assert {key: tuple(value.shape) for key, value in sample.items() if key not in WORDS} == {
            "foreground": (32, 32, 3),
            "background": (32, 32, 3),
            "alpha": (32, 32),
            "trimap": (32, 32),
            "shifts": (3,),
        }
        kinds = {key: value.dtype for key, value in sample.items() if key not in WORDS}
        assert kinds.pop("shifts") == torch.float32
        assert set(kinds.values()) == {torch.uint8}
        assert sample["name"] in matting_data().layer_names
        assert re.fullmatch(rf"{sample['name']}( over layer \d)? on picture \d", sample["origin"])
        known = sample["trimap"] != 128
        assert torch.equal(sample["alpha"][known], sample["trimap"][known])


def test_backgrounds_may_be_a_list_which_names_none():
    named = matting_data()
    plain = replace(named, backgrounds=list(named.backgrounds))
    for index in range(10):
        expected, sample = samples(named)[0, index], samples(plain)[0, index]
        assert sample["origin"] == expected["origin"].replace("picture", "background")
        assert torch.equal(sample["background"], expected["background"])


def test_nothing_is_shifted_without_jitter():
    assert "shifts" not in samples(cfg=replace(CFG, jitter=False))[0, 0]


def test_noise_is_drawn_last_and_as_strong_as_asked_for():
    plain, noisy = samples(), samples(cfg=replace(CFG, noise=8.0))
    deviations = []
    for index in range(12):
        found = noisy[0, index]
        noise = found.pop("noise")
        assert (noise.shape, noise.dtype) == ((32, 32, 3), torch.float32)
        assert equal(plain[0, index], found)  # a run without noise sees the samples it always saw
        assert abs(noise.mean()) < 0.5
        deviations.append(noise.std().item())
    assert 0 < min(deviations) < 3  # uniform in 0..8
    assert 5 < max(deviations) < 8.5


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    one, other = samples(), samples()
    for index in reversed(range(12)):
        other[3, index]  # what was drawn before does not matter
    assert all(equal(one[0, index], other[0, index]) for index in range(12))


def test_epochs_seeds_and_indices_differ():
    keys = itertools.product((1, 2), (0, 1), range(10))
    images = [samples(seed=seed)[epoch, index]["foreground"] for seed, epoch, index in keys]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(images, 2))


def test_workers_change_nothing():
    data = samples()
    here = list(DataLoader(data, batch_size=4, sampler=EpochSampler(12, epoch=2)))
    there = DataLoader(data, batch_size=4, sampler=EpochSampler(12, epoch=2), num_workers=2)
    for first, second in zip(here, there, strict=True):
        assert equal(first, second)
    assert here[1]["foreground"].shape == (4, 32, 32, 3)


def test_every_foreground_is_seen_equally_often_in_a_new_order():
    data = samples(length=35)
    rounds = [
        tuple(data[epoch, 5 * round_ + position]["name"] for position in range(5))
        for epoch in range(2)
        for round_ in range(7)
    ]
    assert all(sorted(names) == matting_data().layer_names for names in rounds)
    assert len(set(rounds)) > 10


def test_backgrounds_are_drawn_from_all():
    data = matting_data(backgrounds=3)
    dataset = samples(data)
    for index in range(300):
        dataset[0, index]
    counts = [data.backgrounds.asked.count(index) for index in range(3)]
    assert sum(counts) == 300
    assert min(counts) > 65  # 100 expected, standard deviation 8


def test_second_foregrounds_are_others_and_come_half_the_time():
    data = matting_data(layers=3)
    dataset = samples(data)
    seconds = []
    for index in range(600):
        data.layers.asked.clear()
        dataset[0, index]
        first, *second = data.layers.asked
        seconds += [(first, other) for other in second]
    assert 240 < len(seconds) < 360  # 300 expected, standard deviation 12
    pairs = {(a, b) for a in range(3) for b in range(3) if a != b}
    assert set(seconds) == pairs
    assert min(seconds.count(pair) for pair in pairs) > 20  # 50 expected, standard deviation 7


def test_one_foreground_is_never_laid_over_itself():
    data = matting_data(layers=1)
    dataset = samples(data)
    for index in range(20):
        dataset[0, index]
    assert data.layers.asked == [0] * 20


def test_length():
    assert len(samples(length=96_000)) == 96_000


@pytest.mark.parametrize("missing", ["layers", "backgrounds"])
@pytest.mark.parametrize("value", [None, []])
def test_data_without_a_training_part(missing, value):
    data = MattingData(**{**vars(matting_data()), missing: value})
    with pytest.raises(DataError, match="no training part"):
        samples(data)


# The sampler


def test_keys_of_an_epoch():
    sampler = EpochSampler(4, epoch=7)
    assert list(sampler) == [(7, 0), (7, 1), (7, 2), (7, 3)]
    assert len(sampler) == 4


def test_resuming_takes_up_where_a_run_stopped():
    rest = EpochSampler(10, epoch=1, start=6)
    assert list(rest) == list(EpochSampler(10, epoch=1))[6:]
    assert len(rest) == 4


def test_processes_share_each_batch():
    """Batches of 2 in 3 processes together are the batches of 6 in one process."""
    shares = [list(EpochSampler(18, start=6, rank=rank, processes=3)) for rank in range(3)]
    assert all(len(share) == 4 for share in shares)
    whole = list(EpochSampler(18, start=6))
    for batch in range(2):
        together = [key for share in shares for key in share[2 * batch : 2 * batch + 2]]
        assert sorted(together) == whole[6 * batch : 6 * batch + 6]


def test_shares_must_be_equal():
    with pytest.raises(ValueError, match="10 samples per epoch cannot be shared equally by 4"):
        EpochSampler(10, processes=4)
    with pytest.raises(ValueError, match="cannot start at sample 3 with 2 processes"):
        EpochSampler(10, start=3, processes=2)


# The network's input


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_network_input_is_normalised(shape):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    trimap = rng.choice([0, 128, 255], shape).astype(np.uint8)
    tensor = network_input(image, trimap)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (4, *shape)
    expected = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(tensor[:3].permute(1, 2, 0), expected, atol=1e-6)
    np.testing.assert_allclose(tensor[3], trimap / 255, atol=1e-7)
    as_float = network_input((image / 255).astype(np.float32), trimap)
    torch.testing.assert_close(as_float, tensor)


def test_network_input_of_wrong_kind():
    image, trimap = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(TypeError, match="image is float64"):
        network_input(image.astype(float), trimap)
    with pytest.raises(TypeError, match="trimap float32"):
        network_input(image, trimap.astype(np.float32))
    for bad_image, bad_trimap in ((image[:3], trimap), (image[..., :1], trimap), (image, trimap.T)):
        with pytest.raises(ValueError, match="do not match"):
            network_input(bad_image, bad_trimap)
