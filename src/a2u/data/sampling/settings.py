"""How training samples are made: the node `sample` of a configuration."""

from dataclasses import dataclass

from a2u.errors import ConfigError
from a2u.settings import field, schema

# Raise it with every change of the samples that a seed gives, or finished runs of both kinds are taken for the same.
SAMPLES_VERSION = 2


@dataclass
class SamplingConfig:
    """How training samples are made."""


@schema("sample/none")
@dataclass
class NoSamplingConfig(SamplingConfig):
    """No settings: pictures to reconstruct are used as they are."""


@schema("sample/matting")
@dataclass
class SampleConfig(SamplingConfig):
    """How one training sample is made from layers (Sec. 6.3 and the released program; defaults: the paper's)."""

    crop: int = field(512, "side of the square crop, a multiple of 16", least=16)
    combine_probability: float = field(0.5, "a second foreground is laid under the first", least=0, most=1)
    resize_probability: float = field(0.25, "the foreground is resized to resize_to x resize_to first", least=0, most=1)
    resize_to: int = field(640, "pixels", least=1)
    rotation: float = field(30.0, "degrees, +-", least=0, most=180)
    rotation_min_side: int = field(1024, "no rotation where the longer side is smaller", least=0)
    scale_min: float = field(0.8, "each axis scaled by a uniform draw", above=0)
    scale_max: float = field(1.25, "at most by this factor")
    shear: float = field(10.0, "degrees, +-", least=0, most=89)
    trimap_max: int = field(29, "ellipses of independent size 1..trimap_max erode the known regions", least=1)
    jitter: bool = field(True, "hue, saturation and value of the foreground")
    noise: float = field(
        0.0,
        "Gaussian, on the composite: its deviation is drawn in 0..noise for each sample, 8-bit units",
        least=0,
        most=255,
        added_later=True,
    )
    brush: float = field(
        0.0,
        "this share of trimaps is drawn by a brush of changing width, up to brush_max",
        least=0,
        most=1,
        added_later=True,
    )
    brush_max: int = field(51, "pixels", least=2, added_later=True)
    camera: bool = field(
        False,
        "composites as a camera sees them: in linear light or not, blurred, noisy, demosaiced, JPEG",
        added_later=True,
    )
    version: int = field(
        SAMPLES_VERSION, "of the way samples are drawn; part of a run's identity, since its samples are"
    )

    def check(self) -> None:
        if self.scale_min > self.scale_max:
            raise ConfigError(
                f"sample.scale_min must be at most sample.scale_max; got {self.scale_min} and {self.scale_max}."
            )
        if self.camera and self.jitter:
            raise ConfigError("sample.camera=true takes colours as they are: set sample.jitter=false.")
        if self.version != SAMPLES_VERSION:
            raise ConfigError(
                f"sample.version is {self.version}, and this program draws samples of version {SAMPLES_VERSION}; "
                "check out the commit that a result of that version names."
            )
