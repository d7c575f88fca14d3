"""Fill the caches of a dataset before several processes would each do it."""

import sys

from omegaconf import DictConfig
from tqdm import tqdm

from a2u.data import prepare_data
from a2u.engine.provenance import available_cores


def fill_caches(dataset: DictConfig) -> None:
    """Fill them on all cores, with a bar where stderr is a terminal."""
    with tqdm(desc="preparing data", disable=not sys.stderr.isatty(), unit="item", leave=False) as bar:

        def progress(count: int, total: int) -> None:
            bar.total = total
            bar.update(count - bar.n)

        prepare_data(dataset, progress, available_cores())
