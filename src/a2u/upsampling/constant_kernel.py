"""A control: A2U's kernels without affinity, the same at every position."""

from typing import Any, Literal

from torch import Tensor

from a2u.upsampling.affinity import KernelNorm, StaticProjection, check_kernel
from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.ops import reassemble_up


class ConstantKernel(Upsampler):
    """A2U with q = 1 in Eq. 4: learned, normalised k x k kernels by sub-position that depend on nothing.

    Not in the paper. What A2U has over this is affinity; what this has over nearest is a low-pass filter. r*r*k*k
    parameters. Reads no guide.

    Args:
        channels: C.
        up_kernel_size: k, odd.
        kernel_norm: over the k*k weights of an output position, as A2U's.
        ratio: r.

    Raises:
        ValueError: an impossible combination; the message names the option.
    """

    name = "constant_kernel"
    reads_guide = False
    has_kernels = True

    def __init__(
        self,
        channels: int,
        up_kernel_size: int = 3,
        kernel_norm: Literal["softmax", "sigmoid_softmax", "sigmoid", "none"] = "sigmoid_softmax",
        ratio: int = 2,
    ) -> None:
        super().__init__(channels, ratio)
        check_kernel(self.name, up_kernel_size, kernel_norm)
        self.up_kernel_size = up_kernel_size
        self.reach = up_kernel_size // 2
        self.normalise = KernelNorm(kernel_norm)
        self.p = StaticProjection(1, up_kernel_size**2 * ratio**2, "xavier")
        self.content = Content()

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        return reassemble_up(x, self.content(self.kernel(x, guide)), self.up_kernel_size, ratio=self.ratio)

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        p = self.p(x).view(1, self.up_kernel_size**2, self.ratio**2, 1, 1)  # output: window position*r*r + sub-position
        n, _, h, w = x.shape
        return self.normalise(p).expand(n, -1, -1, h, w)
