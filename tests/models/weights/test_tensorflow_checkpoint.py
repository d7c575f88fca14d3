"""TensorFlow's checkpoints, written here in its format: read bit for bit, and refused where they are damaged or lie."""

import numpy as np
import pytest
import torch
from helpers.tensorflow_checkpoints import field, write_checkpoint
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as slow_crc32c

from a2u.models.weights.files import WeightsError, read_weights
from a2u.models.weights.tensorflow_checkpoint import crc32c

DATA = "model.ckpt.data-00000-of-00001"


def arrays():
    random = np.random.default_rng(0)
    shapes = {f"net/block{n}/weights": (3, n + 1, 2) for n in range(12)}
    shapes |= {
        "net/block1/BatchNorm/gamma": (5,),
        "net/scalar": (),
        "net/empty": (0, 4),
        "net/block1/weights/Adam": (7,),
    }
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "model.ckpt"


def refused(prefix, words):
    with pytest.raises(WeightsError, match=rf"model\.ckpt\.index could not be read as weights \(.*{words}.*\)"):
        read_weights(prefix)


@pytest.mark.parametrize("block_entries", [1, 4, 100])
@pytest.mark.parametrize("ending", ["", ".index"])
def test_variables_are_read_bit_for_bit(prefix, block_entries, ending):
    expected = arrays()
    counter = {"global_step": np.array(5), "double": np.ones(3)}
    write_checkpoint(prefix, expected | counter, block_entries=block_entries)
    found = read_weights(prefix.with_name(prefix.name + ending))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == torch.float32
        assert found[name].numpy().tobytes() == value.tobytes()
        assert found[name].shape == value.shape


def test_a_file_cut_off_anywhere_is_refused(prefix):
    write_checkpoint(prefix, arrays())
    for path in (prefix.with_name("model.ckpt.index"), prefix.with_name(DATA)):
        whole = path.read_bytes()
        for length in range(0, len(whole), 11):
            path.write_bytes(whole[:length])
            refused(prefix, "")
        path.write_bytes(whole)
    read_weights(prefix)


def test_a_byte_changed_in_the_values_is_refused(prefix):
    write_checkpoint(prefix, arrays())
    for _ in changed(prefix.with_name(DATA)):
        refused(prefix, "the checksum of net/.* is wrong")


def test_a_byte_changed_in_the_index_is_refused_or_without_effect(prefix):
    """There is a block that is not needed, and filling before the end."""
    expected = {name: value.tobytes() for name, value in arrays().items()}
    write_checkpoint(prefix, arrays())
    found = []
    for _ in changed(prefix.with_name("model.ckpt.index")):
        try:
            found.append(read_weights(prefix))
        except WeightsError:
            found.append(None)
    assert found.count(None) > len(found) - 12
    for tensors in filter(None, found):
        assert {name: value.numpy().tobytes() for name, value in tensors.items()} == expected


def changed(path):
    """Change every eleventh byte of a file in turn."""
    whole = path.read_bytes()
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        yield
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({2: field(2, field(1, 2**40)), 5: 2**42}, r"claims shape \(1099511627776,\) in 4,398,046,511,104 bytes"),
        ({2: field(2, field(1, 2**40))}, "claims shape"),
        ({2: field(2, field(1, 2**64 - 1))}, "claims shape"),
        ({4: 2**60}, "claims shape"),
        ({5: 3}, "claims shape"),
        ({6: 1}, "the checksum of net/block3/weights is wrong"),
        ({2: 7}, "a description in it is damaged"),
        ({5: b"abc"}, "a description in it is damaged"),
        ({3: 1}, "is divided over several places"),
        ({7: b""}, "is divided over several places"),
    ],
)
def test_an_entry_that_lies_is_refused(prefix, lie, words):
    write_checkpoint(prefix, arrays(), {"net/block3/weights": lie})
    refused(prefix, words)


def test_variables_that_share_their_bytes_are_refused(prefix):
    """A small file could else claim any amount of memory."""
    given = {name: np.ones(100, np.float32) for name in "abcdef"}
    write_checkpoint(prefix, given, {name: {4: 0} for name in given})
    assert len(read_weights(prefix)) == 6
    data = prefix.with_name(DATA)
    data.write_bytes(data.read_bytes()[:400])
    refused(prefix, "its variables are larger together than model.ckpt.data")


@pytest.mark.parametrize(
    ("how", "words"),
    [({"compression": 1}, "it is compressed"), ({"block_entries": 1}, "a name in it is damaged")],
)
def test_a_table_that_is_read_otherwise_is_refused(prefix, how, words):
    write_checkpoint(prefix, {"n" * (2000 if "block_entries" in how else 3): np.ones(2, np.float32)}, **how)
    refused(prefix, words)


def test_the_data_file_may_not_be_missing(prefix):
    write_checkpoint(prefix, arrays())
    prefix.with_name(DATA).unlink()
    refused(prefix, "No such file or directory: .*data-00000-of-00001")
    prefix.with_name("model.ckpt.index").unlink()
    with pytest.raises(WeightsError, match=r"there is no weights file .*model\.ckpt\."):
        read_weights(prefix)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 1019, 1020, 1021, 5000])
def test_the_checksum_equals_another_implementation(length):
    data = np.random.default_rng(length).bytes(length)
    assert crc32c(data) == slow_crc32c(data)
