"""Decoded images on disk: decoded once, bounded, shared by processes."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from a2u.data.files.disk_cache import DiskCache
from a2u.data.files.folders import LayerFile, LayerFiles
from a2u.data.files.images import read_colour, read_grey
from a2u.errors import DataError


class Reader:
    """Read images, and record which."""

    __name__ = "read_colour"

    def __init__(self):
        self.read: list[str] = []

    def __call__(self, path):
        self.read.append(path.name)
        return read_colour(path)


@pytest.fixture
def pictures(tmp_path):
    """Four pictures of 256 x 256: 192 KiB each, decoded."""
    paths = [tmp_path / f"{index}.png" for index in range(4)]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((256, 256, 3), 50 * index, np.uint8))
    return paths


def test_each_image_is_decoded_once_for_all_processes(tmp_path, pictures):
    reader = Reader()
    for decoded in (DiskCache(tmp_path / "decoded", 1), DiskCache(tmp_path / "decoded", 1)):
        for index, path in enumerate(pictures):
            pixels = decoded(path, reader)
            np.testing.assert_array_equal(pixels, np.full((256, 256, 3), 50 * index))
            assert isinstance(pixels, np.memmap)
            assert not pixels.flags.writeable
    assert reader.read == [path.name for path in pictures]


def test_a_changed_image_is_decoded_anew_in_its_former_copys_place(tmp_path, pictures):
    decoded, reader = DiskCache(tmp_path / "decoded", 1), Reader()
    before = decoded(pictures[1], reader)
    cv2.imwrite(str(pictures[1]), np.full((256, 256, 3), 7, np.uint8))
    os.utime(pictures[1], ns=(0, 1))
    assert decoded(pictures[1], reader)[0, 0, 0] == 7
    assert before[0, 0, 0] == 50  # what was handed out stays
    assert len(list((tmp_path / "decoded").iterdir())) == 1


def test_without_room_images_are_decoded_each_time(tmp_path, pictures):
    decoded, reader = DiskCache(tmp_path / "decoded", 0), Reader()
    for _ in range(2):
        pixels = decoded(pictures[2], reader)
        assert pixels[0, 0, 0] == 100
        assert not isinstance(pixels, np.memmap)
    assert reader.read == ["2.png", "2.png"]


def test_the_room_is_not_exceeded(tmp_path, pictures):
    folder = tmp_path / "decoded"
    decoded = DiskCache(folder, 1)
    large = tmp_path / "large.png"
    cv2.imwrite(str(large), np.zeros((400, 400, 3), np.uint8))
    for path in (*pictures, large):
        decoded(path, read_colour)
    assert len(list(folder.iterdir())) == 4
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2**20


def test_colours_and_grey_of_one_file_are_two_images(tmp_path, pictures):
    decoded = DiskCache(tmp_path / "decoded", 1)
    assert decoded(pictures[1], read_colour).shape == (256, 256, 3)
    assert decoded(pictures[1], read_grey).shape == (256, 256)


def test_a_damaged_copy_is_made_again(tmp_path, pictures):
    decoded = DiskCache(tmp_path / "decoded", 1)
    decoded(pictures[1], read_colour)
    (copy,) = (tmp_path / "decoded").iterdir()
    for content in (b"", b"nothing of the kind", copy.read_bytes()[:1000]):
        copy.write_bytes(content)
        assert decoded(pictures[1], read_colour)[0, 0, 0] == 50


def test_many_at_once(tmp_path, pictures):
    decoded = DiskCache(tmp_path / "decoded", 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda index: decoded(pictures[index % 4], read_colour)[5, 5, 0], range(64)))
    assert found == [50 * (index % 4) for index in range(64)]
    assert len(list((tmp_path / "decoded").iterdir())) == 4


def test_a_folder_that_cannot_be_written(tmp_path, pictures):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot keep decoded images .*set dataset.decoded"):
        DiskCache(tmp_path / "file" / "decoded", 1)(pictures[0], read_colour)


def test_an_image_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"missing\.png cannot be read"):
        DiskCache(tmp_path, 1)(tmp_path / "missing.png", read_colour)


def test_layers_are_memory_mapped_and_can_be_pickled(tmp_path, pictures):
    files = [LayerFile(path.stem, path, path) for path in pictures]
    data = LayerFiles(files, cache_mb=1, decoded=DiskCache(tmp_path / "decoded", 2))
    copy = pickle.loads(pickle.dumps(data))
    for index in range(4):
        for layer in (data[index], copy[index]):
            assert isinstance(layer.foreground, np.memmap)
            assert layer.alpha[0, 0] == 50 * index
