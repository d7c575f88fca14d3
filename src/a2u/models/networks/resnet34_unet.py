"""The matting network of Sec. 6.1 (Fig. 3): one class for every row, the operator decides."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from a2u.models.aspp import ASPP
from a2u.models.decoder import DecoderStage, Prediction
from a2u.models.encoder import Encoder
from a2u.models.layers import NORMS
from a2u.models.networks.base import MattingNetwork, scaled
from a2u.models.operators import build_operators
from a2u.models.tiled import AT_ONCE, Steps, Tiles
from a2u.upsampling import Upsampler
from a2u.upsampling.initialise import initialise


class MattingUNet(MattingNetwork):
    """ResNet34-UNet: (N, 4, H, W) -> alpha (N, 1, H, W), not clamped; H and W multiples of 16.

    Input channels: RGB normalised with the ImageNet mean and standard deviation, and trimap / 255. At the default
    width and block counts it has 8,049,003 parameters without the operator's.

    Args:
        upsampler: the operator's name.
        options: the operator's options.
        width: multiplies every channel count; 32 * width must be a whole number.
        encoder_blocks: residual blocks of layer1, layer2, layer3.
        decoder_blocks: residual blocks of a decoder stage.
        norm: "batch" (batch norm + leaky ReLU) or "inplace_abn" (the released program's).
        aspp: pyramid pooling after the encoder.
        dropout: of the pyramid pooling.

    Raises:
        ValueError: an impossible option.
    """

    multiple = 16
    smallest_tile = 128  # margins are up to 80 pixels

    def __init__(
        self,
        upsampler: str = "nearest",
        options: dict[str, Any] | None = None,
        width: float = 1.0,
        encoder_blocks: Sequence[int] = (3, 4, 4),
        decoder_blocks: int = 2,
        norm: str = "batch",
        aspp: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(encoder_blocks) != 3 or min(*encoder_blocks, decoder_blocks) < 1:
            raise ValueError(
                f"model.encoder_blocks must be three numbers and each block count at least 1; "
                f"got {list(encoder_blocks)} and decoder_blocks={decoder_blocks}."
            )
        make_norm = NORMS[norm]
        c32, c64, c128, c256 = scaled(width, 32, 64, 128, 256)
        stages = [(c256, c128), (c128, c64), (c64, c64), (c64, c32)]  # deepest first: channels in, out
        skips = [c128, c64, c64, 4]  # layer2, layer1, stem, input
        operators = build_operators(upsampler, options, [channels for channels, _ in stages])
        paired = operators[0].paired

        self.encoder = Encoder((c64, c128, c256), encoder_blocks, make_norm, paired)
        self.aspp = ASPP(c256, make_norm, dropout) if aspp else nn.Identity()
        self.stages = nn.ModuleList(
            DecoderStage(skip, channels, out, decoder_blocks, make_norm)
            for skip, (channels, out) in zip(skips, stages, strict=True)
        )
        self.prediction = Prediction(c32, make_norm)
        initialise(self)
        self.upsamplers = nn.ModuleList(operators)

    def forward(self, x: Tensor) -> Tensor:
        return self._predict(x, AT_ONCE)

    def tiled(self, x: Tensor, tile: int) -> Tensor:
        self.check_tile(tile)
        if self.training:
            raise ValueError("a network is trained on whole crops: tiles are for evaluation, call eval() first.")
        with Tiles((x.shape[-2], x.shape[-1]), tile) as steps:
            return self._predict(x, steps)

    def check_tile(self, tile: int) -> None:
        if tile < self.smallest_tile or tile % self.multiple:
            raise ValueError(
                f"a tile's side must be a multiple of {self.multiple} and at least {self.smallest_tile} pixels, or its "
                f"margins would be most of the work; got {tile}."
            )
        _, operator = self._stage(0)
        if operator.reach is None:
            raise ValueError(
                f"{operator.name} does not say how far its output reaches (Upsampler.reach), so an image cannot be "
                "divided into tiles."
            )

    def _predict(self, x: Tensor, steps: Steps) -> Tensor:
        self.check_input(x)
        features = self.encoder(x, list(self.upsamplers), steps)
        skips = [x, features.half, features.quarter, features.eighth]
        guides = list(features.guides[::-1])
        y = self.aspp(features.sixteenth)
        del features  # every map goes once it is used: of a large image they do not all fit
        for numbers in ((0,), (1,), (2, 3)):  # the last two at once: what is between them would be the largest map
            given = [skips.pop() for _ in numbers] + [guides.pop() for _ in numbers]
            y = self._decode(numbers, y, given, steps)
        return y

    def _decode(self, numbers: Sequence[int], y: Tensor, given: list[Tensor | None], steps: Steps) -> Tensor:
        """Some decoder stages, after the last of all the prediction; given: their skips, then their guides."""
        parts = [self._stage(number) for number in numbers]
        through: dict[nn.Module, int] = {self.prediction: 1}
        for number, (stage, operator), skip in zip(numbers, parts, given, strict=False):
            stride = 8 >> number  # of the stage's output
            here: dict[nn.Module, int] = {stage: stride, operator: 2 * stride}
            through |= here
            if not operator.paired:  # a paired one has seen what it downsampled
                steps.collect_statistics(operator, stage.shortcut, skip, through=here)

        def decode(y: Tensor, *given: Any) -> Tensor:
            for (stage, operator), skip, guide in zip(parts, given[: len(parts)], given[len(parts) :], strict=True):
                y = stage(y, skip, operator, guide)
            return self.prediction(y) if numbers[-1] == 3 else y

        return steps(decode, y, *given, through=through)

    def _stage(self, number: int) -> tuple[DecoderStage, Upsampler]:
        stage, operator = self.stages[number], self.upsamplers[number]
        assert isinstance(stage, DecoderStage)
        assert isinstance(operator, Upsampler)
        return stage, operator
