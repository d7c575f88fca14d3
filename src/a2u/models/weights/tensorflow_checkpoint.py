"""Read TensorFlow checkpoints without TensorFlow: a pair PREFIX.index, PREFIX.data-00000-of-00001.

The index is a table of LevelDB, blocks of sorted names and values, found through one more block and a footer. A value
is a protobuf message BundleEntryProto: type, shape, place in the data file, checksum. The data file holds the numbers.
"""

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

INDEX, DATA = ".index", ".data-00000-of-00001"
FOOTER, MAGIC = 48, 0xDB4775248B80FB57.to_bytes(8, "little")  # size of a table's end, and what that ends in
TRAILER = 5  # bytes after a block: compression, checksum
LONGEST_NAME = 1000  # bytes; a name repeats the start of the one before it, so a small file could hold endless ones
TYPE, SHAPE, SHARD, OFFSET, SIZE, CHECKSUM, SLICES = range(1, 8)  # fields of a BundleEntryProto
FLOAT32 = 1
LANES = 1024  # of a checksum, computed side by side
START = bytes.fromhex("54641f64")  # these bytes make a checksum that begins at 0 begin at 0xFFFFFFFF

Message = dict[int, list[Any]]  # of protobuf: the values of every field, numbers or bytes
Value = TypeVar("Value", int, bytes)


def read_tensorflow_checkpoint(index: Path) -> dict[str, Tensor]:
    """Return the float32 variables by name, in TensorFlow's layout; others, such as step counters, are left out.

    Every checksum is compared. Nothing is allocated for a variable until the data file is known to hold it.

    Args:
        index: the file that ends in .index.

    Raises:
        OSError: one of the two files cannot be read.
        ValueError: one of them is damaged or of another kind; the message says how, in a few words.
    """
    data = index.with_suffix(DATA)
    available = data.stat().st_size
    entries = {name.decode(): _message(value) for name, value in _table(index.read_bytes())}
    header = entries.pop("", {})
    if header.get(1, [1]) != [1] or header.get(2, [0]) != [0]:
        raise ValueError("its numbers are in several files, or big-endian")
    shapes = {name: _shape(name, entry, available) for name, entry in entries.items() if entry.get(TYPE) == [FLOAT32]}
    if 4 * sum(map(math.prod, shapes.values())) > available:
        raise ValueError(f"its variables are larger together than {data.name}")
    tensors = {}
    with data.open("rb") as file:
        for name, shape in shapes.items():
            file.seek(_last(entries[name], OFFSET, 0))
            content = file.read(4 * math.prod(shape))
            if masked(crc32c(content)) != _last(entries[name], CHECKSUM, 0):
                raise ValueError(f"the checksum of {name} is wrong")
            tensors[name] = torch.from_numpy(np.frombuffer(content, "<f4").astype(np.float32).reshape(shape))
    return tensors


def _shape(name: str, entry: Message, available: int) -> tuple[int, ...]:
    """Return the shape of a variable, checked to lie within a data file of `available` bytes."""
    sides = _message(_last(entry, SHAPE, b"")).get(2, [])
    shape = tuple(_last(_message(side), 1, 0) for side in sides)
    size = _last(entry, SIZE, 0)
    if _last(entry, SHARD, 0) or SLICES in entry:
        raise ValueError(f"{name} is divided over several places")
    if 4 * math.prod(shape) != size or _last(entry, OFFSET, 0) + size > available:
        raise ValueError(f"{name} claims shape {shape} in {size:,} bytes of a file of {available:,}")
    return shape


def _last(message: Message, field: int, default: Value) -> Value:
    """Return the last value of a field, as protobuf does; `default` if it has none."""
    value = message.get(field, [default])[-1]
    if not isinstance(value, type(default)):
        raise ValueError("a description in it is damaged")
    return value


def _message(data: bytes) -> Message:
    """Read a protobuf message."""
    if not isinstance(data, bytes):
        raise ValueError("a description in it is damaged")
    fields: Message = {}
    rest = _Bytes(data)
    while rest:
        tag = rest.number()
        match tag & 7:
            case 0:
                value: int | bytes = rest.number()
            case 1 | 5 as kind:
                value = int.from_bytes(rest.take(8 if kind == 1 else 4), "little")
            case 2:
                value = rest.take(rest.number())
            case _:
                raise ValueError("a description in it is damaged")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return names and values of a LevelDB table."""
    if not data.endswith(MAGIC):
        raise ValueError("it does not end as an index does")
    footer = _Bytes(data[-FOOTER:])
    footer.number(), footer.number()  # place and size of a block that is not needed
    previous = None
    for _, place in _block(data, footer):
        for name, value in _block(data, _Bytes(place)):
            if previous is not None and name <= previous:
                raise ValueError("its names are not sorted")
            yield name, value
            previous = name


def _block(data: bytes, place: "_Bytes") -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of the table's block at `place`, which holds its start and size."""
    start, size = place.number(), place.number()
    block, trailer = data[start : start + size], data[start + size :][:TRAILER]
    if len(trailer) < TRAILER or size < 4:
        raise ValueError("it is cut off")
    if masked(crc32c(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError("the checksum of a block is wrong")
    if trailer[0]:
        raise ValueError("it is compressed")
    restarts = int.from_bytes(block[-4:], "little")  # offsets at the end of a block, and their count
    rest = _Bytes(block[: max(0, size - 4 * restarts - 4)])
    key = b""
    while rest:
        shared, new, length = rest.number(), rest.number(), rest.number()
        if shared > len(key) or shared + new > LONGEST_NAME:
            raise ValueError("a name in it is damaged")
        key = key[:shared] + rest.take(new)
        yield key, rest.take(length)


class _Bytes:
    """The unread rest of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("it is cut off")
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        """Read a varint: seven bits per byte, the lowest first; the last byte is below 128."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number in it is damaged")


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum.

    Apart from its inversions it is linear: a byte contributes its table entry, followed by as many zero bytes.
    So LANES sums are computed in parallel, each over every LANES-th byte.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    data = START + data
    rows = np.frombuffer(bytes(-len(data) % LANES) + data, np.uint8).reshape(-1, LANES)
    table, jump = _tables()
    lanes = np.zeros(LANES, np.uint32)
    for row in rows:
        parts = lanes.view(np.uint8).reshape(LANES, 4)  # lowest byte first
        lanes = table[row] ^ jump[0][parts[:, 0]] ^ jump[1][parts[:, 1]] ^ jump[2][parts[:, 2]] ^ jump[3][parts[:, 3]]
    total = 0
    for lane in lanes.tolist():
        total = int(table[total & 255]) ^ total >> 8 ^ lane
    return total ^ 0xFFFFFFFF


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return a byte's entry after one zero byte, (256,), and each checksum byte's after LANES zero bytes, (4, 256)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ 0x82F63B78, table >> 1).astype(np.uint32)
    jump = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], np.uint32)
    for _ in range(LANES):
        jump = table[jump & 255] ^ jump >> 8
    return table, jump


def masked(checksum: int) -> int:
    """Mask a checksum as TensorFlow and LevelDB do."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
