"""Affinity-Aware Upsampling (A2U): kernels from second-order features (Sec. 4).

A value of the upsampling kernel is a sum of pairwise similarities inside a local window of the guide (Eq. 2),

    w = sum_k x_k^T A_k y_k,   A_k = U_k V_k^T of rank d,

which, applied at every position, is two convolutions, a product and a 1x1 convolution (Eq. 4):

    w = conv(P, cat over i = 1..d of (sum over c = 1..C of gpconv(U_i, X) o gpconv(V_i, X))).

The paper only discusses self-similarity, Y = X; k in Eq. 2 numbers the channels. Symbols below: C channels, d rank,
k up-kernel size, e encoder kernel size, r ratio; S sets of U and V, r*r where they are point-wise ("pw"), else 1.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from a2u.upsampling.base import Upsampler
from a2u.upsampling.content import Content
from a2u.upsampling.global_layers import Average, GroupNorm
from a2u.upsampling.initialise import LEAKY_SLOPE, FreeKernel, initialise
from a2u.upsampling.ops import reassemble_down, reassemble_up
from a2u.upsampling.ops.encoding import encode_pair


class A2U(Upsampler):
    """Affinity-aware upsampling with all the choices of Sec. 4, "Alternative Implementations".

    Range: before its norm a kernel has two (static), three (hybrid) or five (dynamic) factors linear in the guide, a
    product too large for float16. So q and the kernel are computed in float32 under autocast, too, and in modules
    of float16 or bfloat16. The output is finite for a guide up to 1e4 in float16, whose largest value is 65504, and
    up to 1e15 (static), 1e10 (hybrid) and 1e6 (dynamic) in float32.

    Args:
        channels: C, of the decoder feature and of the guide.
        mode: "static": P, U, V are parameters; "hybrid": P is generated from the guide; "dynamic": all three are.
        sharing: U and V over channels. "channel_shared" (cs): one kernel; "channel_wise" (cw): one a channel;
            "partly_shared": `sharing_groups` kernels, each for C / sharing_groups consecutive channels.
        sharing_groups: read where sharing is "partly_shared"; divides C.
        pointwise: "pw": r*r sets of U and V, one for every sub-position, and one P with k*k outputs; otherwise one
            set and a P with r*r*k*k outputs.
        rank: d. With 1, and without "pw", all r*r*k*k weights of a position follow from one number, its q.
        up_kernel_size: k, odd.
        encoder_kernel_size: e, odd or even (the released configurations have 6).
        kernel_norm: over the k*k weights of an output position. k = 1 refuses a softmax, which would be 1.
        normalise_uv: group norm and leaky ReLU after U*X and after V*X (the dagger of Table 2).
        sigmoid_u: sigmoid after U*X (Sec. 5: with U*X saturated the operator is holistic IndexNet).
        scale_affinity: divide the sum over channels by sqrt(C), as the released program does and Eq. 4 does not.
        p_init: initial values of a static P: "xavier": drawn as the network's convolutions; "ones": Table 1.
        paired: "d": also downsample, with kernels of size r*k from the same U and V and a second P.
        ratio: r.
        calibrate: divide P q by the mean |P q| of the first training batch, so that sigmoid and softmax start open.

    Raises:
        ValueError: an impossible combination; the message names the option.
    """

    name = "a2u"
    has_kernels = True
    later_options = ("calibrate",)

    def __init__(
        self,
        channels: int,
        mode: Literal["static", "hybrid", "dynamic"] = "dynamic",
        sharing: Literal["channel_shared", "channel_wise", "partly_shared"] = "channel_shared",
        sharing_groups: int = 4,
        pointwise: bool = False,
        rank: int = 1,
        up_kernel_size: int = 3,
        encoder_kernel_size: int = 5,
        kernel_norm: Literal["softmax", "sigmoid_softmax", "sigmoid", "none"] = "sigmoid_softmax",
        normalise_uv: bool = False,
        sigmoid_u: bool = False,
        scale_affinity: bool = True,
        p_init: Literal["xavier", "ones"] = "xavier",
        paired: bool = False,
        ratio: int = 2,
        calibrate: bool = False,
    ) -> None:
        super().__init__(channels, ratio, paired)
        _check_choices(locals())
        self.rank = rank
        self.up_kernel_size = up_kernel_size
        self.encoder_kernel_size = encoder_kernel_size
        self.down_kernel_size = ratio * up_kernel_size  # s_d = r * s_u
        # the k x k window of the small map (r*k x r*k of the large one), and the e x e of the large one for U and V
        self.reach = max(up_kernel_size // 2, math.ceil(encoder_kernel_size // 2 / ratio))
        self.normalise = KernelNorm(kernel_norm)
        self.activate_u = nn.Sigmoid() if sigmoid_u else nn.Identity()
        self.content = Content()
        self.scale = 1 / math.sqrt(channels) if scale_affinity else 1.0
        self.sets = ratio**2 if pointwise else 1

        shared = {"channel_shared": 1, "channel_wise": channels, "partly_shared": sharing_groups}[sharing]
        encoding = (self.sets * rank, shared, encoder_kernel_size)
        up_outputs = up_kernel_size**2 * ratio**2 // self.sets
        generated_uv, generated_p = mode == "dynamic", mode != "static"
        self.u = GeneratedEncoding(channels, *encoding) if generated_uv else StaticEncoding(*encoding)
        self.v = GeneratedEncoding(channels, *encoding) if generated_uv else StaticEncoding(*encoding)
        self.p_up = _projection(generated_p, channels, rank, up_outputs, p_init)
        if paired:
            # One down-kernel an output position, so a point-wise P reads the q of all sub-positions.
            self.p_down = _projection(generated_p, channels, self.sets * rank, self.down_kernel_size**2, p_init)
        self.calibrate_up = Calibration() if calibrate else nn.Identity()
        self.calibrate_down = Calibration() if calibrate and paired else nn.Identity()
        self.norm_u = _group_norm(self.sets * rank * channels) if normalise_uv else nn.Identity()
        self.norm_v = _group_norm(self.sets * rank * channels) if normalise_uv else nn.Identity()

    def affinity(self, guide: Tensor) -> Tensor:
        """q = scale * sum over channels of norm(U*X) o norm(V*X): (N, C, r*h, r*w) -> (N, S*d, h, w)."""
        u, v = self.u(guide), self.v(guide)  # (N or 1, S*d, G, e, e)
        with without_autocast(guide):
            guide, u, v = (at_least_float32(each) for each in (guide, u, v))
            u_x, v_x = encode_pair(guide, u, v, self.ratio)  # (N, C, S*d, h, w) each
            u_x, v_x = self.activate_u(_normalised(self.norm_u, u_x)), _normalised(self.norm_v, v_x)
            return self.scale * (u_x * v_x).sum(dim=1)

    def up_kernel(self, guide: Tensor, q: Tensor) -> Tensor:
        """w = conv(P, q), normalised, by sub-position: (N, k*k, r*r, h, w)."""
        p = at_least_float32(self.p_up(guide))  # (N or 1, k*k*r*r / S, d)
        size, q = q.shape[2:], q.unflatten(1, (self.sets, self.rank)).flatten(3)  # (N, S, d, h*w)
        with without_autocast(q):
            kernel = self.calibrate_up(p.unsqueeze(1) @ q)  # (N, S, k*k*r*r / S, h*w)
        # output (position in the k x k window)*r*r/S + sub-position
        kernel = kernel.transpose(1, 2).flatten(1, 2).unflatten(1, (self.up_kernel_size**2, self.ratio**2))
        kernel = kernel.unflatten(3, size)
        return self.normalise(kernel)

    def down_kernel(self, guide: Tensor, q: Tensor) -> Tensor:
        """The second P, no shuffle, softmax over the window: (N, (r*k)^2, h, w)."""
        p = at_least_float32(self.p_down(guide))
        with without_autocast(q):
            return self.calibrate_down(p @ q.flatten(2)).unflatten(2, q.shape[2:]).softmax(dim=1)

    def collect_statistics(self, feature: Tensor) -> None:
        self.affinity(feature)

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        kernel = self.content(self.kernel(x, guide))
        return reassemble_up(x, kernel, self.up_kernel_size, ratio=self.ratio)  # m' = w^T x, Eq. 1

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        return guide if self.paired else self.up_kernel(guide, self.affinity(guide))

    def downsample(self, feature: Tensor) -> tuple[Tensor, Any]:
        if not self.paired:
            return super().downsample(feature)
        self.check_feature(feature)
        q = self.affinity(feature)
        kernel = self.content(self.down_kernel(feature, q))
        down = reassemble_down(feature, kernel, self.down_kernel_size, ratio=self.ratio)
        return down, self.up_kernel(feature, q)


class StaticEncoding(FreeKernel):
    """U or V as free parameters without bias: (1, S*d, G, e, e)."""

    def __init__(self, outputs: int, shared: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, outputs, shared, size, size))
        initialise(self)

    def draw(self, draw: Callable[[Tensor], Tensor]) -> None:
        draw(self.weight.data.view(-1, 1, *self.weight.shape[-2:]))  # as a depth-wise convolution of the network

    def forward(self, guide: Tensor) -> Tensor:
        return self.weight


class GeneratedEncoding(nn.Module):
    """U or V from the guide: average-pooled to e x e, then a 1x1 convolution with bias. (N, S*d, G, e, e).

    (The text says global average pooling; only pooling to e x e gives the printed parameter counts.)
    """

    def __init__(self, channels: int, outputs: int, shared: int, size: int) -> None:
        super().__init__()
        self.shape = (outputs, shared, size, size)
        self.average = Average(size)
        self.conv = nn.Conv2d(channels, outputs * shared, kernel_size=1)
        initialise(self)

    def forward(self, guide: Tensor) -> Tensor:
        return self.conv(self.average(guide)).view(-1, *self.shape)


class StaticProjection(FreeKernel):
    """P as free parameters without bias: (1, outputs, d)."""

    def __init__(self, rank: int, outputs: int, p_init: str) -> None:
        super().__init__()
        self.ones = p_init == "ones"
        self.weight = nn.Parameter(torch.ones(1, outputs, rank))
        initialise(self)

    def draw(self, draw: Callable[[Tensor], Tensor]) -> None:
        if not self.ones:
            draw(self.weight.data.view(*self.weight.shape[1:], 1, 1))

    def forward(self, guide: Tensor) -> Tensor:
        return self.weight


class GeneratedProjection(nn.Module):
    """P from the guide: global average pooling, then a 1x1 convolution with bias. (N, outputs, d)."""

    def __init__(self, channels: int, rank: int, outputs: int) -> None:
        super().__init__()
        self.shape = (outputs, rank)
        self.average = Average(1)
        self.conv = nn.Conv2d(channels, outputs * rank, kernel_size=1)
        initialise(self)

    def forward(self, guide: Tensor) -> Tensor:
        return self.conv(self.average(guide)).view(-1, *self.shape)


def at_least_float32(x: Tensor) -> Tensor:
    """Return a float16 or bfloat16 tensor as float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Compute in the types that the tensors on the device of `x` have."""
    enabled = not x.is_meta and torch.is_autocast_enabled(x.device.type)
    return torch.autocast(x.device.type, enabled=False) if enabled else nullcontext()


class Calibration(nn.Module):
    """Divides by the mean size of the first training batch's values, whatever comes later; until then by 1."""

    size: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("size", torch.zeros(()))  # 0: there was no training batch

    def reset_parameters(self) -> None:
        self.size.zero_()

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.size.copy_(torch.where(self.size > 0, self.size, values.detach().abs().mean()))
        return values / torch.where(self.size > 0, self.size, 1.0)


class KernelNorm(nn.Sequential):
    """Normalises the k*k weights of an output position: (N, k*k, r*r, h, w)."""

    def __init__(self, kernel_norm: str) -> None:
        steps: dict[str, list[nn.Module]] = {"sigmoid": [nn.Sigmoid()], "softmax": [nn.Softmax(dim=1)], "none": []}
        super().__init__(*(step for name in kernel_norm.split("_") for step in steps[name]))


def _normalised(norm: nn.Module, encoded: Tensor) -> Tensor:
    """(N, C, S*d, h, w), normalised as the C*S*d channels of one map."""
    if isinstance(norm, nn.Identity):
        return encoded
    return norm(encoded.flatten(1, 2)).unflatten(1, encoded.shape[1:3])


def _projection(generated: bool, channels: int, rank: int, outputs: int, p_init: str) -> nn.Module:
    return GeneratedProjection(channels, rank, outputs) if generated else StaticProjection(rank, outputs, p_init)


def _group_norm(channels: int) -> nn.Module:
    """Group norm with 32 groups (fewer where a narrow network has not enough channels), then leaky ReLU."""
    return nn.Sequential(GroupNorm(math.gcd(32, channels), channels), nn.LeakyReLU(LEAKY_SLOPE))


def _check_choices(given: dict[str, Any]) -> None:
    """Refuse impossible combinations in a sentence that names the option."""
    allowed = {
        "mode": ("static", "hybrid", "dynamic"),
        "sharing": ("channel_shared", "channel_wise", "partly_shared"),
        "p_init": ("xavier", "ones"),
    }
    for key, values in allowed.items():
        if given[key] not in values:
            raise ValueError(f"a2u: {key} must be one of {', '.join(values)}; got {given[key]!r}.")
    for key in ("rank", "encoder_kernel_size"):
        if given[key] < 1:
            raise ValueError(f"a2u: {key} must be at least 1; got {given[key]}.")
    check_kernel("a2u", given["up_kernel_size"], given["kernel_norm"])
    groups = given["sharing_groups"]
    if given["sharing"] == "partly_shared" and (groups < 1 or given["channels"] % groups):
        raise ValueError(f"a2u: sharing_groups must divide the {given['channels']} channels; got {groups}.")
    if given["p_init"] == "ones" and given["mode"] != "static":
        raise ValueError(f"a2u: p_init=ones is for a static P; mode={given['mode']} generates P.")


def check_kernel(name: str, up_kernel_size: int, kernel_norm: str) -> None:
    """Refuse a kernel size or norm that the operator `name` cannot have in a sentence that names the option."""
    norms = ("softmax", "sigmoid_softmax", "sigmoid", "none")
    if kernel_norm not in norms:
        raise ValueError(f"{name}: kernel_norm must be one of {', '.join(norms)}; got {kernel_norm!r}.")
    if up_kernel_size < 1 or up_kernel_size % 2 == 0:
        raise ValueError(f"{name}: up_kernel_size must be odd, its window is centred; got {up_kernel_size}.")
    if up_kernel_size == 1 and kernel_norm.endswith("softmax"):
        raise ValueError(
            f"{name}: up_kernel_size=1 leaves one weight, over which kernel_norm={kernel_norm} is always 1; "
            "set kernel_norm=sigmoid or kernel_norm=none."
        )
