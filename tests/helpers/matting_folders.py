"""Write small datasets of generated images to folders."""

from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, pixels: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def matte(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return an alpha that is 0 on the left, 255 on the right and random in between."""
    alpha = noise(height, width, seed=seed)
    alpha[:, : width // 3], alpha[:, -(width // 3) :] = 0, 255
    return alpha


def small_photographs(shared: Path, root: Path) -> Path:
    """Write every eighth pixel of two photographs of alphamatting.com, with trimap and true alpha, in its layout."""
    for folder in ("input_training_lowres", "gt_training_lowres", "trimap_training_lowres/Trimap1"):
        for name in ("GT01.png", "GT04.png"):
            pixels = np.asarray(Image.open(shared / "data" / "alphamatting" / folder / name))
            save(root / folder / name, np.ascontiguousarray(pixels[::8, ::8]))
    return root


def sources(test: Path, foregrounds: str = "fg", alphas: str = "alpha", lists: str = "{}_names.txt") -> Path:
    """Write the sources of a test set: two foregrounds, three backgrounds each, of four images."""
    for seed, (name, shape) in enumerate({"b": (30, 40), "a_1": (24, 20)}.items()):
        save(test / foregrounds / f"{name}.png", noise(*shape, 3, seed=seed))
        save(test / alphas / f"{name}.png", matte(*shape, seed=10 + seed))
    for seed, shape in enumerate([(30, 40), (50, 60), (20, 45), (7, 11)]):  # fits, larger, too low, too small
        save(test / "bg" / f"p{seed}.png", noise(*shape, 3, seed=20 + seed))
    (test / lists.format("fg")).write_text("b.png\na_1.png\n")
    (test / lists.format("bg")).write_text("p3.jpg\r\np1.jpg\r\np2.jpg\r\np0.jpg\r\np3.jpg\r\np1.jpg\r\n")
    return test.parent
