"""Training samples for PyTorch: stateless, so that workers, processes and resuming do not change them."""

from collections.abc import Callable, Iterator
from enum import IntEnum

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from a2u.data.sampling.settings import SampleConfig
from a2u.data.sampling.transforms import make_sample
from a2u.data.types import MattingData
from a2u.errors import DataError


class Stream(IntEnum):
    """Independent random streams of one seed, by what is drawn from each."""

    SAMPLE = 0
    ORDER = 1  # of the foregrounds
    STEP = 2  # of training: dropout


class TrainingSamples(Dataset[dict[str, torch.Tensor | str]]):
    """Samples by (epoch, index), random by (seed, epoch, index) alone.

    Index i shows foreground i mod n of a permutation that is drawn anew every n samples, so every foreground is seen
    equally often. A sample is a dict: the parts of `a2u.data.sampling.transforms.Sample` as tensors, the `name` of its
    foreground, and its `origin`, which names all its images. `a2u.data.sampling.compose_batch` turns a batch of samples
    into network input and targets.

    Raises:
        DataError: the dataset has no training part.
    """

    def __init__(self, data: MattingData, cfg: SampleConfig, seed: int, samples_per_epoch: int) -> None:
        if not data.layers or not data.backgrounds:
            raise DataError(
                "this dataset has no training part (foregrounds with alpha, and backgrounds), "
                "so it can only be evaluated on: train on another, or complete its folder"
            )
        self._layers = data.layers
        self._backgrounds = data.backgrounds
        self._background_name: Callable[[int], str] = getattr(data.backgrounds, "name", "background {}".format)
        # A background may depend on the layer before it.
        self._behind: Callable[[int, int], np.ndarray] = getattr(data.backgrounds, "behind", self._background)
        self.names = list(data.layer_names)
        self._cfg = cfg
        self._seed = seed
        self._samples_per_epoch = samples_per_epoch
        self._order: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return self._samples_per_epoch

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor | str]:
        epoch, index = key
        rng = self._generator(Stream.SAMPLE, epoch, index)
        layers = len(self._layers)
        first = self._foreground(epoch, index)
        layer, second = self._layers[first], None
        if layers > 1 and rng.random() < self._cfg.combine_probability:
            second = self._layers[int(first + rng.integers(1, layers)) % layers]
        behind = int(rng.integers(len(self._backgrounds)))
        sample = make_sample(layer, second, self._behind(first, behind), rng, self._cfg)
        parts = {key: torch.from_numpy(part) for key, part in sample.parts().items()}
        foregrounds = layer.name if second is None else f"{layer.name} over {second.name}"
        return {**parts, "name": layer.name, "origin": f"{foregrounds} on {self._background_name(behind)}"}

    def _background(self, layer: int, index: int) -> np.ndarray:
        return self._backgrounds[index]

    def _foreground(self, epoch: int, index: int) -> int:
        round_, position = divmod(index, len(self._layers))
        # Drawn once per round, not per sample.
        if self._order is None or self._order[0] != (epoch, round_):
            rng = self._generator(Stream.ORDER, epoch, round_)
            self._order = (epoch, round_), rng.permutation(len(self._layers))
        return int(self._order[1][position])

    def _generator(self, stream: Stream, epoch: int, number: int) -> np.random.Generator:
        key = np.random.SeedSequence(self._seed, spawn_key=(stream, epoch, number))
        return np.random.Generator(np.random.Philox(key))


class EpochSampler(Sampler[tuple[int, int]]):
    """The keys (epoch, index) of one epoch, from `start` on.

    Each rank takes every `processes`-th index, so that their batches together are the batch of a single process.

    Args:
        length: samples per epoch, over all processes.
        epoch: of the keys.
        start: first index to yield, over all processes.
        rank: number of this process.
        processes: number of processes.

    Raises:
        ValueError: the processes would not get equally many samples.
    """

    def __init__(self, length: int, epoch: int = 0, start: int = 0, rank: int = 0, processes: int = 1) -> None:
        if length % processes:
            raise ValueError(f"{length} samples per epoch cannot be shared equally by {processes} processes")
        if start % processes:
            raise ValueError(
                f"an epoch cannot start at sample {start} with {processes} processes: they would not get equally many"
            )
        self._epoch, self._indices = epoch, range(start + rank, length, processes)

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self._epoch, index) for index in self._indices)
