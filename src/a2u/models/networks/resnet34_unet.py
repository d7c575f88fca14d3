"""The matting network of Sec. 6.1 (Fig. 3): one class for every row, the operator decides."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from a2u.models.aspp import ASPP
from a2u.models.decoder import DecoderStage, Prediction
from a2u.models.encoders import build_encoder
from a2u.models.layers import NORMS, ConvNorm
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.models.operators import DEFAULT_OPERATOR, build_operators
from a2u.upsampling.base import Upsampler
from a2u.upsampling.initialise import initialise


class MattingUNet(MattingNetwork):
    """ResNet34-UNet: (N, 4, H, W) -> alpha (N, 1, H, W), not clamped; H and W multiples of 16.

    Input channels: RGB normalised with the ImageNet mean and standard deviation, and trimap / 255. At the default
    width and block counts it has 8,049,003 parameters without the operator's.

    Args:
        upsampler: the operator's name.
        options: the operator's options.
        encoder: "resnet34" (the paper's), or another of a2u.models.encoders, which keeps torchvision's widths, blocks
            and norms; width and norm then apply to the decoder only.
        downsampling: of operators that are not paired. "strided": the encoder's own, and the guide is the shortcut's
            output; "max_pool": FADE's released network, which has A2U's "d" with 2x2 max-pooling in the operator's
            place, and the features before it as guides.
        width: multiplies every channel count; 32 * width must be a whole number.
        encoder_blocks: residual blocks of layer1, layer2, layer3.
        decoder_blocks: residual blocks of a decoder stage.
        norm: "batch" (batch norm + leaky ReLU) or "inplace_abn" (the released program's).
        aspp: pyramid pooling after the encoder.
        dropout: of the pyramid pooling.

    Raises:
        ValueError: an impossible option.
    """

    name = "resnet34_unet"
    later_options = ("encoder", "downsampling")
    multiple = 16
    indivisible = None

    def __init__(
        self,
        upsampler: str = DEFAULT_OPERATOR,
        options: dict[str, Any] | None = None,
        encoder: str = "resnet34",
        downsampling: Literal["strided", "max_pool"] = "strided",
        width: float = 1.0,
        encoder_blocks: Sequence[int] = (3, 4, 4),
        decoder_blocks: int = 2,
        norm: Literal["batch", "inplace_abn"] = "batch",
        aspp: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(encoder_blocks) != 3 or min(*encoder_blocks, decoder_blocks) < 1:
            raise ValueError(
                f"model.encoder_blocks must be three numbers and each block count at least 1; "
                f"got {list(encoder_blocks)} and decoder_blocks={decoder_blocks}."
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"model.dropout must be between 0 and 1; got {dropout}.")
        make_norm = NORMS[norm]
        c32, c64, c128, c256 = scaled(width, 32, 64, 128, 256)
        stages = [(c256, c128), (c128, c64), (c64, c64), (c64, c32)]  # deepest first: channels in, out
        operators = build_operators(upsampler, options, [channels for channels, _ in stages])

        paired = operators[0].paired
        if paired and downsampling != "strided":
            raise ValueError(
                f"{upsampler} downsamples by itself, so model.downsampling={downsampling} would have no effect: "
                "leave it at strided."
            )
        self.encoder = build_encoder(encoder, width, encoder_blocks, make_norm, paired or downsampling == "max_pool")
        half, quarter, eighth, sixteenth = self.encoder.channels
        skips = [eighth, quarter, half, 4]
        if aspp:
            self.aspp: nn.Module = ASPP(sixteenth, make_norm, dropout, branch=c256, out=c256)
        else:
            self.aspp = nn.Identity() if sixteenth == c256 else ConvNorm(sixteenth, c256, make_norm, size=1)
        self.stages = nn.ModuleList(
            DecoderStage(skip, channels, out, decoder_blocks, make_norm)
            for skip, (channels, out) in zip(skips, stages, strict=True)
        )
        self.prediction = Prediction(c32, make_norm)
        initialise(self)
        self.upsamplers = nn.ModuleList(operators)

    def last_operator(self) -> Upsampler:
        operator = self.upsamplers[-1]
        assert isinstance(operator, Upsampler)
        return operator

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        features, guides = self.encoder(x, self.upsamplers)  # at 1/2, 1/4, 1/8, 1/16
        y = self.aspp(features.pop())  # (N, 256, H/16, W/16)
        skips = [x, *features]
        for stage, operator in zip(self.stages, self.upsamplers, strict=True):  # deepest first
            y = stage(y, skips.pop(), operator, guides.pop())
        return self.prediction(y)
