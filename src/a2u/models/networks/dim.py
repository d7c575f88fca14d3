"""Deep Image Matting (Xu et al., CVPR 2017), first stage: VGG-16 with batch norm, max-unpooling.

130,545,345 parameters. As in the program released with IndexNet Matting; `load_released(system="dim")` reads its
weights.
"""

from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork, scaled
from a2u.upsampling.max_unpool import MaxUnpool

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels, by stage


class DIM(MattingNetwork):
    """(N, 4, H, W) -> (N, 1, H, W); H and W multiples of 32.

    Args:
        width: multiplies every channel count.
    """

    name = "dim"
    multiple, fit = 32, "resize"
    indivisible = "max-unpooling takes positions in the whole map"

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = VGGEncoder(width)
        bottom, *outs = scaled(width, 4096, 512, 256, 128, 64, 64)  # of the stages, deepest first
        channels = [outs[0], *outs[:-1]]
        self.reduce = nn.Conv2d(bottom, outs[0], kernel_size=1)
        self.decoder = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=5, padding=2) for before, after in zip(channels, outs, strict=True)
        )
        self.unpools = nn.ModuleList(MaxUnpool(count) for count in channels)
        self.prediction = nn.Conv2d(outs[-1], 1, kernel_size=5, padding=2)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        pools = list(self.unpools)[::-1]
        guides = []
        for stage, pool in zip(self.encoder.stages, pools, strict=True):
            assert isinstance(pool, MaxUnpool)
            x, guide = pool.downsample(stage(x))
            guides.append(guide)
        x = self.reduce(self.encoder.fc6(x).relu()).relu()  # (N, 512, H/32, W/32)
        for convolution, unpool in zip(self.decoder, self.unpools, strict=True):
            x = convolution(unpool(x, guides.pop())).relu()
        return self.prediction(x)


class VGGEncoder(nn.Module):
    """VGG-16 with batch norm, its first fully connected layer as a 7x7 convolution."""

    torchvision = "vgg16_bn"  # whose ImageNet weights fit

    def __init__(self, width: float) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        before = 4
        for channels in VGG16:
            parts: list[nn.Module] = []
            for after in scaled(width, *channels):
                parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
                before = after
            self.stages.append(nn.Sequential(*parts))
        self.fc6 = nn.Conv2d(before, scaled(width, 4096)[0], kernel_size=7, padding=3)

    def torchvision_name(self, key: str) -> str:
        """Return torchvision's name: "stages.1.0.weight" -> "features.7.weight"; there a pool stands between stages."""
        if key.startswith("fc6."):
            return key.replace("fc6", "classifier.0")
        _, stage, position, tensor = key.split(".")
        before = (0, 7, 14, 24, 34)[int(stage)]
        return f"features.{before + int(position)}.{tensor}"
