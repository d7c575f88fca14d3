"""Families of foregrounds. Each draws one layer: its colours and its exact alpha."""

from collections.abc import Callable

import numpy as np

from a2u.data.synthetic.foregrounds.blurred import defocus, motion
from a2u.data.synthetic.foregrounds.leaves import leaf
from a2u.data.synthetic.foregrounds.meshes import lace, net
from a2u.data.synthetic.foregrounds.strands import feather, fur, hair
from a2u.data.synthetic.foregrounds.translucent import glass, smoke
from a2u.data.synthetic.raster import Drawn

# (rng, size, samples) -> colours (size, size, 3) float32 in 0..255, also where alpha is 0, and alpha (size, size)
# float32 in 0..1. `samples` sets the accuracy of the coverage (raster.py) and does not affect random draws.
Family = Callable[[np.random.Generator, int, int], Drawn]

# Ordered so that any five in a row contain strands, holes, blades, blur and translucency.
FAMILIES: dict[str, Family] = {
    "hair": hair,
    "net": net,
    "leaf": leaf,
    "defocus": defocus,
    "smoke": smoke,
    "fur": fur,
    "lace": lace,
    "feather": feather,
    "motion": motion,
    "glass": glass,
}
