"""Finding and reading the files of a dataset: cache, checksum, lists and messages."""

import hashlib
import pickle

import cv2
import numpy as np
import pytest

from a2u.data.files import folders
from a2u.data.files.folders import (
    CompositeFile,
    LayerFile,
    LayerFiles,
    checksum,
    find_images,
    limited,
    read_names,
    some,
    without_suffix,
)
from a2u.errors import DataError


@pytest.fixture
def layers(tmp_path):
    """Four layers of 256 x 256: 256 KiB each, decoded."""
    files = []
    for index in range(4):
        pixels = np.full((256, 256, 3), 50 * index, np.uint8)
        paths = tmp_path / f"fg{index}.png", tmp_path / f"alpha{index}.png"
        cv2.imwrite(str(paths[0]), pixels)
        cv2.imwrite(str(paths[1]), pixels[..., 0])
        files.append(LayerFile(f"{index}", *paths))
    return files


@pytest.fixture
def reads(monkeypatch):
    """Names of the foregrounds that were read from disk, in order."""
    names: list[str] = []

    def read(path):
        names.append(path.stem)
        return read_colour(path)

    read_colour = folders.read_colour
    monkeypatch.setattr(folders, "read_colour", read)
    return names


def test_layers_that_fit_in_memory_are_read_once(layers, reads):
    data = LayerFiles(layers, cache_mb=1)
    for _ in range(2):
        for index in range(4):
            assert data[index].foreground[0, 0, 0] == 50 * index
            assert data[index].name == str(index)
    assert reads == ["fg0", "fg1", "fg2", "fg3"]


def test_the_layer_longest_unused_leaves_first(tmp_path, layers, reads):
    big = tmp_path / "fg4.png"
    cv2.imwrite(str(big), np.zeros((256, 256, 3), np.uint8))
    data = LayerFiles([*layers, LayerFile("4", big, layers[0].alpha)], cache_mb=1)
    for index in (0, 1, 2, 3, 0, 4):  # the fifth does not fit; 1 is the longest unused
        data[index]
    reads.clear()
    for index in (0, 2, 3, 4, 1):
        data[index]
    assert reads == ["fg1"]


def test_nothing_stays_in_memory_without_a_cache(layers, reads):
    data = LayerFiles(layers, cache_mb=0)
    assert data[0].alpha.shape == (256, 256)
    data[0]
    assert reads == ["fg0", "fg0"]


def test_what_the_cache_hands_out_cannot_be_changed(layers):
    layer = LayerFiles(layers, cache_mb=1)[1]
    with pytest.raises(ValueError, match="read-only"):
        layer.alpha[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        layer.foreground += 1


def test_layers_can_be_pickled_for_workers(layers):
    copy = pickle.loads(pickle.dumps(LayerFiles(layers, cache_mb=1)))
    np.testing.assert_array_equal(copy[3].alpha, 150)


def test_checksum_is_that_of_sha256sums_lines(tmp_path):
    names = ["merged/b_1.png", "trimaps/b_1.png", "merged/b_0.png", "trimaps/b_0.png", "alpha/b.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 1000)
    files = [
        CompositeFile(case, *(tmp_path / folder / f"{stem}.png" for folder, stem in parts))
        for case, parts in {
            "b_1": [("merged", "b_1"), ("trimaps", "b_1"), ("alpha", "b")],
            "b_0": [("merged", "b_0"), ("trimaps", "b_0"), ("alpha", "b")],
        }.items()
    ]
    lines = [
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n"
        for name in sorted(names)  # the shared alpha once
    ]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert checksum(tmp_path, files) == expected
    assert checksum(tmp_path, files[::-1]) == expected
    assert checksum(tmp_path, files[:1]) != expected


def test_images_of_a_folder_by_name(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c.d.jpg", "._a.jpg", "Thumbs.db", "list.txt"):
        (tmp_path / name).touch()
    assert {k: v.name for k, v in find_images(tmp_path).items()} == {
        "a": "a.jpeg",
        "b": "b.PNG",
        "c.d": "c.d.jpg",
    }
    assert list(find_images(tmp_path)) == ["a", "b", "c.d"]


def test_two_files_of_one_name(tmp_path):
    for name in ("a.jpg", "a.png"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"holds both a\.jpg and a\.png"):
        find_images(tmp_path)


def test_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(DataError, match=r"holds no image .*; it holds nothing"):
        find_images(tmp_path)
    (tmp_path / "readme.txt").touch()
    with pytest.raises(DataError, match=r"it holds readme\.txt"):
        find_images(tmp_path)


def test_missing_folder_is_reported_with_what_its_parent_holds(tmp_path):
    (tmp_path / "foreground").mkdir()
    with pytest.raises(DataError, match=rf"{tmp_path} holds foreground"):
        find_images(tmp_path / "Training_set" / "fg")


def test_list_of_names(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("b.jpg\r\n\r\n  a  \nv1.5 ä\nc.PNG".encode())
    assert read_names(path) == ["b", "a", "v1.5 ä", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.png\nb\na.jpg\n", r"list\.txt names a more than once"),
        (b"\n \n", r"list\.txt holds no name"),
        (b"\xff\xfe", r"list\.txt cannot be read"),
    ],
)
def test_list_at_fault(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_names(path)


def test_only_image_suffixes_are_removed_from_a_name():
    names = ["a.png", "a.JPG", "a.b", "a.b.jpeg", "a"]
    assert [without_suffix(name) for name in names] == ["a", "a", "a.b", "a.b", "a"]


def test_limit():
    assert limited([1, 2, 3], None) == [1, 2, 3]
    assert limited([1, 2, 3], 2) == [1, 2]
    assert limited([1, 2, 3], 5) == [1, 2, 3]
    with pytest.raises(DataError, match="a limit of 0"):
        limited([1, 2, 3], 0)


def test_long_lists_are_shortened():
    assert some(["a", "b", "c"], shown=2) == "a, b and 1 more"
    assert some(["a", "b"], shown=2) == "a, b"


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffGT10.png\r\nGT11\r\n".encode())
    assert read_names(path) == ["GT10", "GT11"]


def test_names_of_a_list_are_composed(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("cafe\u0301.png\n", encoding="utf-8")
    assert read_names(path) == ["caf\u00e9"]


@pytest.mark.parametrize("name", ["x/a.png", "../../etc/a.png", "/a", "x\\a.png"])
def test_a_list_that_names_folders_is_refused(tmp_path, name):
    path = tmp_path / "list.txt"
    path.write_text(f"b.png\n{name}\n")
    with pytest.raises(DataError, match="expected names of images without their folders"):
        read_names(path)
