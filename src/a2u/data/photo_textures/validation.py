"""Composites to validate on: their own photographs, cut-outs and generated alphas, none of which is trained on."""

from dataclasses import dataclass, field

import numpy as np

from a2u.data.photo_textures.layers import Stream, TexturedBackgrounds, TexturedLayers, generator
from a2u.data.sampling.camera import photographed
from a2u.data.sampling.trimaps import brushed_trimap, trimap_from_alpha
from a2u.data.types import Composite

WIDEST = 1 / 5  # trimap, as a share of the side
EVERY = 5  # of so many composites, the last one shows a cut-out


@dataclass
class ValidationComposites:
    """Composites as a camera sees them, one for each generated alpha of `layers`; some show a cut-out instead.

    Half of the trimaps are drawn by a brush. The composites are made when first used, and kept.
    """

    layers: TexturedLayers
    like: float
    seed: int
    memory: dict[int, Composite] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.layers.generated)

    def __getitem__(self, index: int) -> Composite:
        if not 0 <= index < len(self):
            raise IndexError(f"composite {index} of {len(self)}")
        if index not in self.memory:
            self.memory[index] = self._composite(index)
        return self.memory[index]

    def name(self, index: int) -> str:
        return f"photo_{index:03d}"

    def _composite(self, index: int) -> Composite:
        rng = generator(self.seed, Stream.CAMERA, index)
        number = index
        if len(self.layers.cutouts) and index % EVERY == EVERY - 1:
            number = len(self) + index // EVERY % len(self.layers.cutouts)
        layer = self.layers[number]
        height, width = (side - side % 2 for side in layer.alpha.shape)  # even, for the camera
        colours, alpha = (np.ascontiguousarray(part[:height, :width]) for part in layer[1:])
        backgrounds = TexturedBackgrounds(self.layers, max(height, width), len(self), self.like)
        background = backgrounds.behind(number, int(rng.integers(len(backgrounds))))
        image = photographed(colours, background[:height, :width], alpha, rng)
        widest = max(3, round(WIDEST * min(height, width)))
        if rng.random() < 0.5:
            trimap = brushed_trimap(alpha, widest, rng)
        else:
            sizes = np.exp(rng.uniform(0, np.log(widest), 2)).round().astype(int).tolist()
            trimap = trimap_from_alpha(alpha, *sizes)
        return Composite(self.name(index), image, trimap, alpha)
