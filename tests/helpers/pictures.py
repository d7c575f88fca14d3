"""Random pictures instead of digits."""

import torch

from a2u.data.sources.digits import PictureData


def random_pictures(train: int = 60, test: int = 20, size: int = 32, seed: int = 0) -> PictureData:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (train + test, 1, size, size), generator=generator, dtype=torch.uint8)
    return PictureData(pictures[:train], pictures[train:], checksum=lambda: "0" * 64)
