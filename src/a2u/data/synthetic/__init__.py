"""Pictures of the embedded default dataset: generated foregrounds with exact alpha, backgrounds and test cases.

Everything follows from a seed, so that networks can be trained and tested anywhere without a download.
"""

from a2u.data.synthetic.generate import (
    GENERATOR_VERSION,
    generate_background,
    generate_composite,
    generate_layer,
)

__all__ = [
    "GENERATOR_VERSION",
    "generate_background",
    "generate_composite",
    "generate_layer",
]
