"""Generated alphas in the colours of photographs: any folders of ordinary photographs, no alpha needed.

root/**/*.jpg, *.png    photographs
root/**/*.png           with an alpha channel: cut-outs, taken as whole foregrounds
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from a2u.data.photo_textures.layers import TexturedBackgrounds, TexturedLayers
from a2u.data.photo_textures.pictures import CutOuts, Found, Photographs, find
from a2u.data.photo_textures.validation import ValidationComposites
from a2u.data.sources.synthetic import Items, checksum, fill_cache, generated_layers
from a2u.data.synthetic.generate import GENERATOR_VERSION, MINIMUM_SIZE
from a2u.data.types import Layer, MattingData, MattingDatasetConfig, absolute_path
from a2u.errors import ConfigError, DataError
from a2u.settings import field, schema

TEXTURES_VERSION = 1  # raise it with every change of a pixel


def absolute_paths(root: str | None) -> str | None:
    """Return several paths, separated as in PATH, as absolute."""
    return root and os.pathsep.join(absolute_path(path) or "" for path in root.split(os.pathsep))


@schema("dataset/photo_textures")
@dataclass
class PhotoTexturesConfig(MattingDatasetConfig):
    """Generated alphas in the colours of photographs, over photographs.

    Of the photographs and cut-outs, a share validates and is never trained on; the alphas to validate on are generated
    for that alone. `limit_train` applies to the generated alphas.
    """

    name: str = "photo_textures"
    root: str | None = field(
        None,
        f"folder of photographs, searched with its subfolders; several with {os.pathsep} between them",
        identity=absolute_paths,
    )
    cache: str | None = field("data", "folder for generated layers; null: generate again every time", identity=False)
    cache_mb: int = field(1024, "decoded photographs kept in memory, per process", least=0, identity=False)
    side: int = field(800, "pixels; longer side that photographs are reduced to", least=64)
    train_layers: int = field(256, "generated alphas", least=1)
    train_size: int = field(160, "side of generated alphas and backgrounds, pixels", least=MINIMUM_SIZE)
    textures: int = field(64, "colourings of each alpha, tints of each background", least=1)
    like: float = field(0.15, "share of backgrounds that are of the foreground's own photograph", least=0, most=1)
    held_out: float = field(0.1, "share of photographs and cut-outs to validate on", above=0, most=0.5)
    test_images: int = field(30, least=1)
    test_size: int = field(448, "side of the test images, pixels", least=MINIMUM_SIZE)
    seed: int = field(2021, "of generator and colours, not of the run", least=0)
    version: str = field(
        f"{GENERATOR_VERSION}.{TEXTURES_VERSION}", "of generator and colours; part of a run's identity"
    )

    def check(self) -> None:
        if self.version != PhotoTexturesConfig.version:
            raise ConfigError(
                f"dataset.version is {self.version}, and this program makes pictures of version "
                f"{PhotoTexturesConfig.version}; check out the commit that a result of that version names."
            )

    def build(self) -> MattingData:
        """Find the photographs, and split them.

        Raises:
            DataError: no root is given, or its folders cannot be used.
        """
        train, test = find(self.roots(), self.held_out)
        training, validation = self._generated()
        layers = self._layers(train, training, "train", self.textures, round(1.5 * self.train_size))
        validated = self._layers(test, validation, "validation", 1, self.test_size)
        composites = ValidationComposites(validated, self.like, self.seed)
        return MattingData(
            layers=layers,
            layer_names=layers.shape_names(),
            backgrounds=TexturedBackgrounds(layers, self.train_size, self.textures, self.like),
            test=composites,
            test_names=[composites.name(index) for index in range(len(composites))],
            checksum=partial(checksum, composites),
        )

    def roots(self) -> list[str]:
        """Return the folders. Raises DataError if there is none."""
        if not self.root:
            raise DataError(
                f"dataset {self.name} has no root: set it to a folder of photographs (several with {os.pathsep} "
                "between them); `python scripts/data.py photographs` collects some"
            )
        return self.root.split(os.pathsep)

    def prepare(self, progress: Callable[[int, int], None] | None = None, processes: int = 1) -> None:
        """Generate all layers into the disk cache, if there is one. Raises DataError if it cannot be written."""
        fill_cache(self._generated(), progress, processes)

    def _generated(self) -> tuple[Items[Layer], Items[Layer]]:
        """Return the generated layers of training and validation."""
        train = min(self.train_layers, self.limit_train or self.train_layers)
        test = min(self.test_images, self.limit_test or self.test_images)
        return (
            generated_layers(self.cache, self.seed, self.train_size, "train", train),
            generated_layers(self.cache, self.seed, self.test_size, "validation", test),
        )

    def _layers(
        self, found: Found, generated: Items[Layer], split: str, textures: int, cutout_side: int
    ) -> TexturedLayers:
        room = self.cache_mb * 2**20
        photographs = Photographs(found.photographs, self.side, room)
        cutouts = CutOuts(found.cutouts, cutout_side, room)
        return TexturedLayers(generated, split, photographs, cutouts, textures, self.seed)
