"""Layers and backgrounds: generated alphas in colours of photographs, cut-outs, and photographs behind them."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from a2u.data.photo_textures.pictures import CutOuts, Photographs
from a2u.data.photo_textures.texture import Tint, draw_tint, out_of_focus, shaded, shading_of, texture
from a2u.data.synthetic.generate import layer_name
from a2u.data.types import Layer


class Stream(IntEnum):
    """Independent random streams of one seed, by what is drawn from each."""

    FOREGROUND = 0
    PHOTOGRAPH = 1  # of a layer, and its tint
    BACKGROUND = 2
    LIKE = 3  # backgrounds of the foreground's own photograph
    CAMERA = 4


def generator(seed: int, stream: Stream, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, stream, index])))


class Generated(Protocol):
    """Generated layers, by index."""

    def __len__(self) -> int: ...
    def load(self, index: int) -> Layer: ...


@dataclass
class TexturedLayers:
    """Generated alphas and cut-outs, each in `textures` colourings.

    Index i shows shape i mod n of the n alphas and cut-outs. An alpha takes its colours from a photograph, and keeps
    its own shading; a cut-out is only tinted.
    """

    generated: Generated
    split: str  # of the generated layers
    photographs: Photographs
    cutouts: CutOuts
    textures: int
    seed: int
    shapes: dict[int, tuple[str, np.ndarray, np.ndarray]] = field(default_factory=dict)  # name, alpha, shading

    @property
    def count(self) -> int:
        """Number of shapes."""
        return len(self.generated) + len(self.cutouts)

    def shape_names(self) -> list[str]:
        generated = [layer_name(index, self.split) for index in range(len(self.generated))]
        return generated + [self.cutouts.name(index) for index in range(len(self.cutouts))]

    def __len__(self) -> int:
        return self.count * self.textures

    def __getitem__(self, index: int) -> Layer:
        if not 0 <= index < len(self):
            raise IndexError(f"layer {index} of {len(self)}")
        photograph, tint = self.colours(index)
        if photograph is None:
            number = index % self.count - len(self.generated)
            colours, alpha = self.cutouts.parts(number)
            return Layer(self.cutouts.name(number), tint.apply(colours), alpha)
        name, alpha, shading = self._shape(index % self.count)
        rng = generator(self.seed, Stream.FOREGROUND, index)
        colours = texture(self.photographs[photograph], tint, rng, len(alpha))
        return Layer(f"{name} of {self.photographs.name(photograph)}", shaded(colours, shading), alpha)

    def colours(self, index: int) -> tuple[int | None, Tint]:
        """Return the number of the photograph that a layer's colours are from, None for a cut-out, and their tint."""
        rng = generator(self.seed, Stream.PHOTOGRAPH, index)
        photograph = int(rng.integers(len(self.photographs)))
        return photograph if index % self.count < len(self.generated) else None, draw_tint(rng)

    def _shape(self, index: int) -> tuple[str, np.ndarray, np.ndarray]:
        if index not in self.shapes:
            name, colours, alpha = self.generated.load(index)
            self.shapes[index] = name, alpha, shading_of(colours)
        return self.shapes[index]


@dataclass
class TexturedBackgrounds:
    """Photographs at any scale, tinted, sharp or out of focus; `textures` of each.

    With probability `like`, the background of a layer is of the same photograph in the same tint.
    """

    layers: TexturedLayers
    size: int  # side in pixels
    textures: int
    like: float

    def __len__(self) -> int:
        return len(self.layers.photographs) * self.textures

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"background {index} of {len(self)}")
        rng = generator(self.layers.seed, Stream.BACKGROUND, index)
        return self._picture(index % len(self.layers.photographs), draw_tint(rng), rng)

    def behind(self, layer: int, index: int) -> np.ndarray:
        """Return the background of an index for the layer of an index, (size, size, 3) uint8 RGB."""
        rng = generator(self.layers.seed, Stream.LIKE, layer)
        photograph, tint = self.layers.colours(layer)
        if photograph is None or rng.random() >= self.like:
            return self[index]
        return self._picture(photograph, tint, rng)

    def name(self, index: int) -> str:
        return self.layers.photographs.name(index % len(self.layers.photographs))

    def _picture(self, photograph: int, tint: Tint, rng: np.random.Generator) -> np.ndarray:
        return out_of_focus(texture(self.layers.photographs[photograph], tint, rng, self.size), rng)
