"""Write checkpoints as TensorFlow's Saver does, or with lies in them."""

import struct
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

TYPES = {np.dtype("float32"): 1, np.dtype("float64"): 2, np.dtype("int64"): 9}
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def write_checkpoint(
    prefix: Path,
    arrays: Mapping[str, np.ndarray],
    lies: Mapping[str, dict] | None = None,
    checksum: Callable[[bytes], int] = masked_crc32c,
    **how: Any,
) -> None:
    """Write PREFIX.index and PREFIX.data-00000-of-00001.

    Args:
        lies: other values for the fields of some entries.
        checksum: of a variable's bytes; the default takes half a second a megabyte.
        how: see `table`.
    """
    entries, offset = {"": field(1, 1) + field(3, field(1, 1))}, 0
    with prefix.with_name(prefix.name + ".data-00000-of-00001").open("wb") as data:
        for name, array in sorted(arrays.items()):
            content = array.tobytes()
            shape = b"".join(field(2, field(1, side)) for side in array.shape)
            entry = {1: TYPES[array.dtype], 2: shape, 3: 0, 4: offset, 5: len(content), 6: checksum(content)}
            entries[name] = message(entry | (lies or {}).get(name, {}))
            offset += data.write(content)
    prefix.with_name(prefix.name + ".index").write_bytes(table(entries.items(), **how))


def message(fields: Mapping[int, int | bytes]) -> bytes:
    """Numbers that are 0 are left out, as protobuf does; 6 is fixed32."""
    return b"".join(
        b"\x35" + struct.pack("<I", value) if number == 6 else field(number, value)
        for number, value in fields.items()
        if value != 0
    )


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    start, last = b"", value
    while last > 127:
        start, last = start + bytes([last & 127 | 128]), last >> 7
    return start + bytes([last])


def table(entries: Iterable[tuple[str, bytes]], block_entries: int = 5, compression: int = 0) -> bytes:
    """A LevelDB table with `block_entries` entries a block."""
    pairs = [(name.encode(), value) for name, value in entries]
    content, places = b"", []
    for start in range(0, len(pairs), block_entries):
        part = pairs[start : start + block_entries]
        data = block(part, interval=3)
        places.append((part[-1][0], varint(len(content)) + varint(len(data))))
        content += data + trailer(data, compression)
    handles = b""
    for data in (block([], interval=1), block(places, interval=1)):
        handles += varint(len(content)) + varint(len(data))
        content += data + trailer(data, 0)
    return content + handles.ljust(40, b"\0") + MAGIC


def block(pairs: list[tuple[bytes, bytes]], interval: int) -> bytes:
    """Names without the start they share with the one before; every `interval`-th is whole."""
    data, restarts, before = b"", [0], b""
    for number, (name, value) in enumerate(pairs):
        shared = 0
        if number % interval:
            shared = next((i for i, (a, b) in enumerate(zip(before, name, strict=False)) if a != b), len(before))
        elif number:
            restarts.append(len(data))
        data += varint(shared) + varint(len(name) - shared) + varint(len(value)) + name[shared:] + value
        before = name
    return data + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def trailer(data: bytes, compression: int) -> bytes:
    kind = bytes([compression])
    return kind + struct.pack("<I", masked_crc32c(data + kind))
