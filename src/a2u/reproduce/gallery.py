"""The gallery of docs/operators.md: what each operator does, where it comes from, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from a2u.upsampling import Upsampler, build_upsampler, operators, option_names

SHOWN = 64  # channels of the operator whose parameters and time are shown
SIDE = 128  # of the map that is upsampled for the time
FACTS = ["operator", "idea", "paper", "reads guide", "own ratio", "reach", "licence of the authors' program"]
COSTS = ["operator", f"parameters, C = {SHOWN}", "in the network", "GMAC", "forward", "peak", "with backward", "peak"]
STAGES = ((256, 32), (128, 64), (64, 128), (64, 256))  # channels and side of x in the network, for 512 x 512


@dataclass(frozen=True)
class Entry:
    """One line: an operator with options. Texts are Markdown; `licence` is of the authors' program."""

    title: str
    operator: str
    idea: str
    paper: str
    licence: str = "—"
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, channels: int, **further: Any) -> Upsampler:
        return build_upsampler(self.operator, channels, **self.options, **further)


ACADEMIC = 'MIT; its README: "academic purposes only"'
DYSAMPLE = "Liu et al., ICCV 2023"
SAPA = "Lu et al., NeurIPS 2022"
FADE = "Lu et al., ECCV 2022"
FREQFUSION = "Chen et al., TPAMI 2024"
A2U = "Dai et al., CVPR 2021"
NO_ROOT = "none at the root"

ENTRIES = (
    Entry("Nearest", "nearest", "Repeat every pixel", "—"),
    Entry("Bilinear", "bilinear", "Weigh the four nearest pixels by distance", "—"),
    Entry("Bicubic", "bicubic", "Weigh the 16 nearest pixels by a cubic of distance", "—"),
    Entry("Deconvolution", "deconv", "One learned kernel for each sub-position", "Zeiler et al., CVPR 2010"),
    Entry(
        "Pixel shuffle", "pixel_shuffle", "A convolution makes the sub-positions as channels", "Shi et al., CVPR 2016"
    ),
    Entry("Max-unpooling", "max_unpool", "Put values back where max-pooling took them", "Zeiler, Fergus, ECCV 2014"),
    Entry(
        "CARAFE", "carafe", "Kernels generated from the decoder feature", "Wang et al., ICCV 2019", "Apache-2.0 (mmcv)"
    ),
    Entry(
        "IndexNet",
        "indexnet",
        "Scale the nearest pixel by an index in 0..1 generated from the guide",
        "Lu et al., ICCV 2019",
        "not stated; weights non-commercial",
    ),
    Entry("A2U, dynamic-cs", "a2u", "Kernels from the affinity of the guide with itself, a bilinear form", A2U, "MIT"),
    Entry(
        "A2U, dynamic-cs-d, norm",
        "a2u",
        "The same, and the encoder downsamples by such kernels too",
        A2U,
        "MIT",
        {"paired": True, "normalise_uv": True},
    ),
    Entry("DySample", "dysample", "Sample each output at one point, moved by a generated offset", DYSAMPLE, "MIT"),
    Entry(
        "DySample+",
        "dysample",
        "The same; how far offsets reach is generated too",
        DYSAMPLE,
        "MIT",
        {"dynamic_scope": True},
    ),
    Entry("DySample-S", "dysample", "The same from the pixel-shuffled feature", DYSAMPLE, "MIT", {"style": "pl"}),
    Entry(
        "LDA-AQU",
        "lda_aqu",
        "Attend to nine points, moved by offsets from the query",
        "Du et al., ACM MM 2024",
        "Apache-2.0",
    ),
    Entry("SAPA-I", "sapa", "Similarity of guide and decoder feature", SAPA, ACADEMIC, {"variant": "i"}),
    Entry("SAPA-B", "sapa", "Similarity of their embeddings", SAPA, ACADEMIC),
    Entry("SAPA-G", "sapa", "The query is mixed from both features by a gate", SAPA, ACADEMIC, {"variant": "g"}),
    Entry(
        "SAPA-D",
        "sapa_d",
        "The guide attends to nine points that the decoder feature chooses",
        "On Point Affiliation in Feature Upsampling, 2023",
        "none",
    ),
    Entry("FADE", "fade", "Kernels from both features; a gate mixes the guide itself in", FADE, ACADEMIC),
    Entry("FADE-Lite", "fade", "The same by a depthwise convolution", FADE, ACADEMIC, {"lite": True}),
    Entry(
        "FreqFusion",
        "freqfusion",
        "Low-pass kernels upsample, high-pass kernels sharpen the guide, which is added",
        FREQFUSION,
        NO_ROOT,
    ),
    Entry(
        "FreqFusion, resampling",
        "freqfusion",
        "The same, then sampled again at moved points",
        FREQFUSION,
        NO_ROOT,
        {"resample": True},
    ),
    Entry(
        "ReSFU",
        "resfu",
        "Similarity after a guided filter makes the features comparable",
        "Zhou et al., 2024",
        NO_ROOT,
    ),
    Entry(
        "JBU",
        "jbu",
        "Joint bilateral filter of the bicubic enlargement with a learned range",
        "Fu et al. (FeatUp), ICLR 2024",
        "MIT",
    ),
    Entry("Constant kernel", "constant_kernel", "A control: A2U's kernels learned as constants", "—"),
    Entry("Blur", "blur", "A control: the mean of 3 x 3 pixels", "—"),
)


def gallery(measured: dict[str, Any] | None) -> str:
    """Return the gallery in Markdown, two tables with a line for each entry.

    measured: the measurements of scripts/bench/operators.py; None where none are published.
    """
    facts = [FACTS, ["---"] * len(FACTS), *map(_facts_of, ENTRIES)]
    costs = [COSTS, ["---", *["---:"] * (len(COSTS) - 1)], *(_costs_of(entry, measured) for entry in ENTRIES)]
    tables = ("".join(f"| {' | '.join(line)} |\n" for line in lines) for lines in (facts, costs))
    return "\n".join([*tables, f"{_caption(measured)}\n"])


def measurements(entry: Entry) -> list[str]:
    """Return the names of what scripts/bench/operators.py measures of an entry."""
    return [f"{entry.title}, {work}{what}" for work in ("forward", "forward + backward") for what in ("", ", peak")]


def _facts_of(entry: Entry) -> list[str]:
    with torch.device("meta"):
        operator = entry.build(SHOWN)
    kind = type(operator)
    file = f"[{entry.title}](../src/{kind.__module__.replace('.', '/')}.py)"
    reads = "its own" if operator.paired else "yes" if kind.reads_guide else "no"
    reach = "any" if operator.reach is None else str(operator.reach)
    return [file, entry.idea, entry.paper, reads, "any" if _takes_any_ratio(entry) else "2", reach, entry.licence]


def _takes_any_ratio(entry: Entry) -> bool:
    if "ratio" not in option_names(operators()[entry.operator]):
        return False
    try:
        with torch.device("meta"):
            entry.build(288, ratio=3)  # channels that 3 x 3 divides
    except ValueError:
        return False
    return True


def _costs_of(entry: Entry, measured: dict[str, Any] | None) -> list[str]:
    found = {line["what"]: line for line in measured["lines"]} if measured else {}
    own, network = parameters(entry, SHOWN), sum(parameters(entry, channels) for channels, _ in STAGES)
    counts = [f"{own:,}", f"{network:,}", f"{multiply_adds(entry) / 1e9:.2f}"]
    return [entry.title, *counts, *(_measured(found.get(what)) for what in measurements(entry))]


def _measured(line: dict[str, Any] | None) -> str:
    if line is None:
        return "—"
    return f"{1000 * line['ours']:,.1f} ms" if line["unit"] == "s" else f"{line['ours']:,.0f} MB"


def parameters(entry: Entry, channels: int) -> int:
    """Return the parameters of one operator."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in entry.build(channels).parameters())


@cache
def _multiply_adds(number: int) -> int:
    entry, total = ENTRIES[number], 0
    for channels, side in STAGES:
        with torch.device("meta"):
            operator = entry.build(channels).eval().requires_grad_(False)
            x, guide = torch.empty(1, channels, side, side), torch.empty(1, channels, 2 * side, 2 * side)
        with FlopCounterMode(display=False, custom_mapping=SAMPLES) as counter:
            upsample(operator, x, guide)
        total += counter.get_total_flops() // 2
    return total


def multiply_adds(entry: Entry) -> int:
    """Return the multiply-adds of the network's four stages for an image of 512 x 512.

    Of convolutions, matrix products, similarities, reassembly and bilinear samples (four for a value).
    """
    return _multiply_adds(ENTRIES.index(entry))


def upsample(operator: Upsampler, x: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
    """Upsample x with the guide that the operator makes of the high-resolution feature, or with that feature."""
    y: torch.Tensor = operator(x, operator.downsample(feature)[1] if operator.paired else feature)
    return y


def _sample_flops(*_: Any, out_shape: Sequence[int], **__: Any) -> int:
    return 2 * 4 * prod(out_shape)


SAMPLES = {torch.ops.aten.grid_sampler_2d: _sample_flops}


def _caption(measured: dict[str, Any] | None) -> str:
    texts = [
        "In the network: four stages of 256, 128, 64 and 64 channels. GMAC: 10^9 multiply-adds of these stages for an "
        "image of 512 x 512, in convolutions, matrix products, similarities, reassembly and bilinear samples (four for "
        "a value), paired downsampling included.",
        f"Time and peak memory are of one operator, {SHOWN} channels, {SIDE} x {SIDE} to {2 * SIDE} x {2 * SIDE}, "
        "float32; the peak is beyond what was held before.",
    ]
    if measured is None:
        texts.append('They are not published yet: `make bench ARGS="parts=[operators] name=operators"`.')
    else:
        came = measured["provenance"]
        where = f"{came['machine']['cpu']}, {came['threads']} threads, PyTorch {came['versions']['torch']}"
        texts.append(f"Measured on {where}; commit {came['commit'][:7]}, {came['started'][:10]}.")
    return " ".join(texts)
