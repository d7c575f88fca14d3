"""Write a network as an ONNX file, for batches and images of any size.

The file's metadata has an entry `a2u`: the manifest of exported weights in JSON (exported.py, without sha256), and
under `onnx` the opset, and name, type, shape and meaning of input and output.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from a2u.errors import A2UError, how_to_install
from a2u.files import replacing
from a2u.models.networks.base import MattingNetwork
from a2u.models.weights.exported import METADATA
from a2u.models.weights.files import check_finite
from a2u.upsampling import MaxUnpool

OPSET = 20
SMALLEST = 2  # multiples of what the network divides by, of the image it is checked with
ROUNDING = 1e-4  # of the largest output, or of 1 where that is smaller: more is another network
TO_THE_END = 2**31 - 1
_NOT_KEPT = "so it was not kept; please report it, with the versions of torch, onnxscript and onnxruntime"
_MISSING = "exporting as ONNX needs packages of its own ({}); install them with " + how_to_install("onnx") + "."


def write_onnx(path: Path, model: nn.Module, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write a network as ONNX with its manifest in the metadata; return the manifest.

    Before the file gets its name, onnxruntime runs it at sizes other than the traced one, and the outputs are compared
    with the network's.

    Args:
        path: the file.
        model: in evaluation mode, on the CPU.
        about: the manifest without onnx.

    Raises:
        A2UError: onnx, onnxscript or onnxruntime is missing; the network has nothing to export or no form in ONNX;
            onnxruntime does not run the file, or gives other values than the network.
        WeightsError: NaN or infinite values.
        OSError: the file cannot be written.
    """
    check_finite(model.state_dict(), path)
    if not any(True for _ in model.parameters()):
        raise A2UError(f"{type(model).__name__} is no trained network, so there is nothing to export as ONNX.")
    description = _description(model)
    manifest = {**about, "onnx": description}
    program = _traced(model, description)
    program.model.metadata_props[METADATA] = json.dumps(manifest)
    with replacing(path) as temporary:
        program.save(str(temporary))
        _compare(temporary, model, description)
    return manifest


def _description(model: nn.Module) -> dict[str, Any]:
    matting = isinstance(model, MattingNetwork)
    multiple = model.multiple if isinstance(model, MattingNetwork) else 8
    meaning = (
        "RGB / 255, normalised with the ImageNet mean and deviation, and trimap / 255" if matting else "grey / 255"
    )
    not_clamped, untrained = "not clamped to 0..1", "; meaningless where the trimap is known: paste trimap / 255 there"
    shape = ["batch", 4 if matting else 1, "height", "width"]
    return {
        "opset": OPSET,
        "input": {"name": "input", "type": "float32", "shape": shape, "multiple": multiple, "meaning": meaning},
        "output": {
            "name": "alpha" if matting else "picture",
            "type": "float32",
            "shape": ["batch", 1, "height", "width"],
            "meaning": not_clamped + untrained if matting else not_clamped,
        },
    }


def _traced(model: nn.Module, description: Mapping[str, Any]) -> torch.onnx.ONNXProgram:
    given, made = description["input"], description["output"]
    multiple, channels = given["multiple"], given["shape"][1]
    free = multiple == 1  # any size but 1, which PyTorch keeps for itself
    batch = torch.export.Dim("batch")
    height, width = (torch.export.Dim(name, min=2 if free else None) for name in ("height", "width"))
    x = torch.zeros(2, channels, 3 * multiple, 4 * multiple)
    sides = (height, width) if free else (multiple * height, multiple * width)
    program = to_onnx(model, {given["name"]: x}, [{0: batch, 2: sides[0], 3: sides[1]}], [made["name"]])
    program.model.doc_string = f"{given['name']}: {given['meaning']}; height and width multiples of {multiple}."
    return program


def to_onnx(
    module: nn.Module, given: Mapping[str, Tensor], sizes: Sequence[Mapping[int, Any]], outputs: Sequence[str]
) -> torch.onnx.ONNXProgram:
    """Convert a network or a single operator of a2u.upsampling to ONNX.

    Args:
        module: in evaluation mode.
        given: examples of its inputs, by the names they get.
        sizes: of each, the dimensions that may change, as `dynamic_shapes` of torch.onnx.export.
        outputs: names of what it returns.

    Raises:
        A2UError: a package is missing, or PyTorch cannot write the module.
    """
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module,
                tuple(given.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(given),
                output_names=list(outputs),
                dynamic_shapes=tuple(sizes),
                custom_translation_table={
                    torch.ops.a2u.sums.default: _sums(),
                    torch.ops.a2u.similarity.default: _similarity(),
                },
                optimize=False,
                verbose=False,
            )
            assert program is not None
            _tidy(program)
    except ImportError as error:
        raise A2UError(_MISSING.format(error)) from error
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise A2UError(f"PyTorch cannot write {type(module).__name__} as ONNX: {reason}") from error
    return program


def _tidy(program: torch.onnx.ONNXProgram) -> None:
    """Remove what runtimes warn of, and each node's origin, which names folders of this machine.

    (All that the exporter could do to a graph takes longer than the rest; runtimes do it themselves.)
    """
    from onnxscript import optimizer

    optimizer.inline(program.model)
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()


def _sums() -> Any:
    """a2u.upsampling.ops.onnx_backend.sums in ONNX: a slice, a product and a sum for every window position."""
    from onnxscript import opset20 as op
    from onnxscript.onnx_types import FLOAT

    def sums(x: FLOAT, weights: FLOAT, size: int, stride: int, padding: int) -> FLOAT:
        def numbers(*values: int) -> Any:
            return op.Constant(value_ints=list(values))

        border = (0, 0, 0, 0, 0, padding, padding)
        windows = op.Pad(op.Unsqueeze(x, numbers(2, 3)), numbers(*border, *border))  # (N, G, 1, 1, c, H, W)
        sides, steps = numbers(5, 6), numbers(stride, stride)
        weights = op.Unsqueeze(weights, numbers(4))  # (N, G, T, P, 1, h, w)
        taps: Any = op.Split(weights, axis=2, num_outputs=size**2) if size > 1 else [weights]
        y: Any = None
        for tap, weight in enumerate(taps):
            first = divmod(tap, size)
            last = [begin + 1 - stride - 2 * padding or TO_THE_END for begin in first]  # from the end
            seen = op.Slice(windows, numbers(*first), numbers(*last), sides, steps)
            term = op.Mul(seen, weight)
            y = term if y is None else op.Add(y, term)
        return op.Squeeze(y, numbers(2))

    return sums


def _similarity() -> Any:
    """a2u.upsampling.ops.onnx_backend.similarity in ONNX: a slice, a product and a sum for every window position."""
    from onnxscript import opset20 as op
    from onnxscript.onnx_types import FLOAT

    def similarity(query: FLOAT, key: FLOAT, size: int) -> FLOAT:
        def numbers(*values: int) -> Any:
            return op.Constant(value_ints=list(values))

        border = (0, 0, 0, size // 2, size // 2)
        keys = op.Pad(op.Unsqueeze(key, numbers(2)), numbers(*border, *border))  # (N, d, 1, H, W)
        taps = []
        for tap in range(size**2):
            first = divmod(tap, size)
            last = [begin + 1 - size or TO_THE_END for begin in first]  # from the end
            seen = op.Slice(keys, numbers(*first), numbers(*last), numbers(3, 4))
            taps.append(op.ReduceSum(op.Mul(query, seen), numbers(1)))  # (N, 1, P, h, w)
        return op.Concat(*taps, axis=1)

    return similarity


def _compare(path: Path, model: nn.Module, description: Mapping[str, Any]) -> None:
    """Raise A2UError unless the file gives, at two sizes that were not traced, what the network gives."""
    try:
        import onnxruntime
    except ImportError as error:
        raise A2UError(_MISSING.format(error)) from error
    name = type(model).__name__
    with _running(name):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = description["input"]
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in ((1, SMALLEST, SMALLEST), (3, SMALLEST + 3, SMALLEST)):
        size = (batch, given["shape"][1], height * given["multiple"], width * given["multiple"])
        x = torch.rand(size, generator=generator)
        with torch.no_grad():
            expected: Tensor = model(x)
        with _running(name):
            found = torch.from_numpy(session.run(None, {given["name"]: x.numpy()})[0])
        off = _difference(found, expected, model) if found.shape == expected.shape else float("inf")
        if not off <= ROUNDING * max(1.0, float(expected.abs().max())):
            raise A2UError(f"the ONNX file of {name} is wrong by {off:.3g} for an input of {tuple(size)}, {_NOT_KEPT}.")


@contextmanager
def _running(name: str) -> Iterator[None]:
    """Turn errors of onnxruntime, which share no base class, into a sentence about the network `name`."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise A2UError(f"onnxruntime cannot run the ONNX file of {name}, {_NOT_KEPT}: {reason}") from error


def _difference(found: Tensor, expected: Tensor, model: nn.Module) -> float:
    """Return the largest difference of all pixels; for a network that unpools, the largest median of an image.

    Max-unpooling puts a value where the largest of four was: where two are equal to rounding, all around them moves.
    """
    off = (found - expected).abs().flatten(1)
    unpools = any(isinstance(module, MaxUnpool) for module in model.modules())
    return float(off.median(dim=1).values.max() if unpools else off.max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
