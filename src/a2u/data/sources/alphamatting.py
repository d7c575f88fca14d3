"""The low-resolution photographs of alphamatting.com: those with true alpha, and the benchmark's own.

root/input_training_lowres             GT01.png ...
root/gt_training_lowres                the same names; true alpha, grey stored as RGB
root/trimap_training_lowres/Trimap1    the same names; also Trimap2

root/input_lowres                      doll.png ...: the benchmark's own, whose true alpha is not public
root/trimap_lowres/Trimap1             the same names; also Trimap2, Trimap3

Source: Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from a2u.data.files.folders import (
    CompositeFile,
    CompositeFiles,
    check_together,
    checksum,
    contents,
    dataset_root,
    find_images,
    limited,
    missing_folder,
    require,
)
from a2u.data.files.images import read_colour, read_header, read_trimap
from a2u.data.types import MattingData, MattingDatasetConfig
from a2u.errors import DataError
from a2u.files import user_path
from a2u.settings import field, schema

IMAGES, ALPHAS, TRIMAPS = "input_training_lowres", "gt_training_lowres", "trimap_training_lowres"
BENCHMARK, BENCHMARK_TRIMAPS = "input_lowres", "trimap_lowres"


@schema("dataset/alphamatting")
@dataclass
class AlphamattingConfig(MattingDatasetConfig):
    """Photographs of alphamatting.com with true alpha, for evaluation only."""

    name: str = "alphamatting"
    trimap: str = field("Trimap1", "folder of the trimaps: Trimap1 or Trimap2")

    def build(self) -> MattingData:
        """Find the files, and check their names and sizes. There is no training part.

        Raises:
            DataError: names the folder or files at fault.
        """
        root = dataset_root(self, f"holds {IMAGES}")
        images = find_images(root / IMAGES, (".png",))
        others = []
        for folder in (root / TRIMAPS / self.trimap, root / ALPHAS):
            found = find_images(folder, (".png",))
            require(images, found, folder, IMAGES)
            others.append(found)
        trimaps, alphas = others
        files = [CompositeFile(name, images[name], trimaps[name], alphas[name]) for name in images]
        files = limited(files, self.limit_test)
        return MattingData(
            layers=None,
            layer_names=(),
            backgrounds=None,
            test=CompositeFiles(files),
            test_names=[file.name for file in files],
            checksum=partial(checksum, root, files),
        )


class BenchmarkPhotographs:
    """The benchmark's own photographs with one kind of trimap, read on demand; their true alpha is not public.

    Names and sizes are checked here.

    Raises:
        DataError: names the folder or files at fault.
    """

    def __init__(self, root: Path, trimap: str) -> None:
        folder = root / BENCHMARK_TRIMAPS / trimap
        self._images, self._trimaps = find_images(root / BENCHMARK, (".png",)), find_images(folder, (".png",))
        require(self._images, self._trimaps, folder, BENCHMARK)
        for name, path in self._images.items():
            check_together({each: read_header(each) for each in (path, self._trimaps[name])})
        self.names = list(self._images)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, np.ndarray, np.ndarray]:
        """Return name, image (H, W, 3) uint8 RGB and trimap (H, W) uint8."""
        name = self.names[index]
        return name, read_colour(self._images[name]), read_trimap(self._trimaps[name])


def photographs_folder(folder: str | Path) -> Path:
    """Return the folder that `photographs` names, with photographs with true alpha, the benchmark's own, or both.

    Raises:
        DataError: it does not exist, or holds neither.
    """
    root = user_path(folder)
    if not root.is_dir():
        raise DataError(f"{missing_folder(root)}: set photographs to the folder that holds {IMAGES} or {BENCHMARK}")
    if not (root / IMAGES).is_dir() and not (root / BENCHMARK).is_dir():
        raise DataError(
            f"{root} has neither {IMAGES} nor {BENCHMARK}, the photographs of alphamatting.com; it holds "
            f"{contents(root)}: set photographs to their folder"
        )
    return root
