"""The contract that every upsampling operator keeps and every network relies on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.functional import pad

from a2u.upsampling.initialise import initialise

Named = TypeVar("Named", bound=nn.Module)


class Upsampler(nn.Module):
    """Upsamples a decoder feature, reading a guide.

    `forward(x: (N, C, h, w), guide: (N, C, 2h, 2w)) -> (N, C, 2h, 2w)`; x may have any size, odd ones too.

    An operator that also downsamples sets `paired` and has `downsample`: the network calls that in place of its own
    downsampling, and hands what else it returned (kernels, indices) to `forward` as the guide.

    A subclass whose output depends on a bounded neighbourhood sets `reach`; large images can then be computed in
    tiles. Averages and group norms over the whole map are taken by the layers of global_layers.py.

    What an operator reads off the picture besides x (kernels, index maps, offsets, gates) passes through a layer
    `Content` (content.py), by which it can be watched or taken away.

    A subclass sets `name` (what configs call it), `reads_guide`, and writes `upsample` (and `downsample`). Its
    constructor's arguments after `channels`, with their annotations and defaults, are its typed options.
    """

    name: ClassVar[str] = ""
    reads_guide: ClassVar[bool] = True
    has_kernels: ClassVar[bool] = False  # it makes a kernel for every output position, which `kernel` gives
    reach: int | None = None  # an output reads at most so many pixels of the small map to each side; None: any
    later_options: ClassVar[tuple[str, ...]] = ()  # options that came later: with their defaults nothing has changed
    keeps_initial_values: ClassVar[bool] = False  # a network that initialises itself leaves this operator as it is
    # Parts that the authors' program names otherwise, ours -> theirs ("encode": "content_encoder"); None: no such
    # program is known to `released.load_operator`
    released_names: ClassVar[Mapping[str, str] | None] = None

    def __init__(self, channels: int, ratio: int = 2, paired: bool = False) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"{self.name}: channels must be at least 1; got {channels}.")
        if ratio < 2:
            raise ValueError(f"{self.name}: ratio must be at least 2; got {ratio}.")
        self.channels = channels
        self.ratio = ratio
        self.paired = paired

    def forward(self, x: Tensor, guide: Any = None, size: Sequence[int] | None = None) -> Tensor:
        """Upsample a map.

        Args:
            x: (N, C, h, w).
            guide: (N, C, r*h, r*w), or what `downsample` returned; None where the operator reads none.
            size: height and width of the result, less than r smaller than r*h and r*w, where x was downsampled from
                sides that r does not divide. The guide has that size, too; its last row and column are repeated.

        Returns:
            (N, C, r*h, r*w), or (N, C, *size).

        Raises:
            ValueError: x, guide or size does not fit; the message names both sides.
        """
        if isinstance(x, Proxy):  # of torch.fx.symbolic_trace, which keeps layers as calls
            arguments = (x, guide) if size is None else (x, guide, size)
            return x.tracer.create_proxy("call_module", x.tracer.path_of_module(self), arguments, {})
        if size is not None:
            return self._of_size(x, guide, *size)
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f"{self.name} upsamples (N, {self.channels}, h, w); got {tuple(x.shape)}.")
        if self.reads_guide and not self.paired:
            n, c, h, w = x.shape
            expected = (n, c, self.ratio * h, self.ratio * w)
            found = tuple(guide.shape) if isinstance(guide, Tensor) else type(guide).__name__
            if found != expected:
                raise ValueError(f"{self.name}: for x {tuple(x.shape)} the guide must be {expected}; got {found}.")
        if self.paired and guide is None:
            raise ValueError(f"{self.name} is paired: pass the guide that its downsample() returned.")
        return self.upsample(x, guide)

    def _of_size(self, x: Tensor, guide: Any, height: int, width: int) -> Tensor:
        below, right = self.ratio * x.shape[-2] - height, self.ratio * x.shape[-1] - width
        if not (0 <= below < self.ratio and 0 <= right < self.ratio):
            raise ValueError(f"{self.name}: {tuple(x.shape)} is no map whose upsampling has the size {height, width}.")
        if self.reads_guide and not self.paired:
            guide = pad(guide, [0, right, 0, below], mode="replicate")
        return self(x, guide)[..., :height, :width]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Let `to(memory_format=torch.channels_last)` see kernels of five dimensions, which has four, as four."""

        def as_maps(tensor: Tensor) -> Tensor:
            if tensor.dim() != 5:
                return fn(tensor)
            return fn(tensor.flatten(0, 1)).unflatten(0, tensor.shape[:2])

        return super()._apply(as_maps, recurse)  # type: ignore[no-untyped-call]

    def reset_parameters(self) -> None:
        """Draw all parameters again as the constructor does: what is built on the meta device has none yet."""
        for part in self.modules():
            reset = getattr(part, "reset_parameters", None)
            if part is not self and reset is not None:
                reset()
        self.draw_parameters()

    def draw_parameters(self) -> None:
        """Set the initial values that are not those of PyTorch's layers."""
        initialise(self)

    def collect_statistics(self, feature: Tensor) -> None:
        """Run every `GroupNorm` of global_layers.py on what it would normalise for this guide (N, C, r*h, r*w).

        Tiling calls it on every tile before `upsample`. Only operators with such a layer define it.
        """
        raise TypeError(f"{type(self).__name__} does not define collect_statistics().")

    def upsample(self, x: Tensor, guide: Any) -> Tensor:
        """Compute the output for checked input."""
        raise TypeError(f"{type(self).__name__} does not define upsample().")

    def kernel(self, x: Tensor, guide: Any) -> Tensor:
        """Return the kernels with which `upsample` weights windows, by sub-position: (N, k*k, r*r, h, w)."""
        raise TypeError(f"{self.name} makes no kernels.")

    def downsample(self, feature: Tensor) -> tuple[Tensor, Any]:
        """Downsample (N, C, r*h, r*w) to (N, C, h, w); also return the guide for `forward`. Paired operators only."""
        raise TypeError(f"{self.name} has no paired downsampling; the network downsamples by itself.")

    def check_feature(self, feature: Tensor) -> None:
        """Raise ValueError unless `feature` can be downsampled by the ratio."""
        n, c, height, width = feature.shape
        if c != self.channels or height % self.ratio or width % self.ratio:
            raise ValueError(
                f"{self.name} downsamples (N, {self.channels}, H, W) with H and W multiples of {self.ratio}; "
                f"got {tuple(feature.shape)}."
            )


def named_subclasses(base: type[Named]) -> dict[str, type[Named]]:
    """Return the subclasses of `base` that have a `name`, by name."""
    found, queue = {}, [base]
    while queue:
        kind = queue.pop()
        queue.extend(kind.__subclasses__())
        if kind.name:  # type: ignore[attr-defined]
            found[kind.name] = kind  # type: ignore[attr-defined]
    return dict(sorted(found.items()))
