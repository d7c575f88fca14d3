"""The Adobe folder layout: what is found, and one sentence for each fault."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from a2u.config import compose
from a2u.data.files.layout import Split
from a2u.data.sources.adobe import AdobeConfig
from a2u.engine.evaluate import seen_in_training
from a2u.engine.identity import identity
from a2u.errors import ConfigError, DataError


def save(path: Path, *shape: int, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))


@pytest.fixture
def root(tmp_path):
    """Three training layers, two of them .jpg; three composites of the test foregrounds x and x_1."""
    training, test = tmp_path / "Training_set", tmp_path / "Test_set"
    for name, suffix, height in (("b", "jpg", 20), ("a.1", "jpg", 30), ("c", "png", 40)):
        save(training / "fg" / f"{name}.{suffix}", height, 50, 3)
        save(training / "alpha" / f"{name}.{suffix}", height, 50)
    for name in ("p", "q"):
        save(training / "bg" / f"{name}.jpg", 10, 10, 3)
    for index, (name, foreground) in enumerate((("x_0", "x"), ("x_10", "x"), ("x_1_0", "x_1"))):
        save(test / "merged" / f"{name}.png", 8, 9, 3, value=index)
        save(test / "trimaps" / f"{name}.png", 8, 9, value=128)
        save(test / "alpha" / f"{foreground}.png", 8, 9, value=100 + index)
    return tmp_path


def build(root, **options):
    return AdobeConfig(root=str(root), **options).build()


def test_layout(root):
    data = build(root)
    assert data.layer_names == ["a.1", "b", "c"]
    assert [layer.alpha.shape for layer in data.layers] == [(30, 50), (20, 50), (40, 50)]
    assert [layer.foreground.shape for layer in data.layers] == [(30, 50, 3), (20, 50, 3), (40, 50, 3)]
    assert len(data.backgrounds) == 2
    assert data.backgrounds[1].shape == (10, 10, 3)
    assert data.test_names == ["x_0", "x_10", "x_1_0"]
    assert [case.name for case in data.test] == data.test_names
    assert [case.image[0, 0, 0] for case in data.test] == [0, 1, 2]
    # Both composites of x have its alpha, the later file's content; x_1_0 has that of x_1.
    assert [case.alpha[0, 0] for case in data.test] == [101, 101, 102]
    assert data.test[2].trimap.dtype == np.uint8


def test_alphas_of_16_bits_on_request(root):
    for path, shape in (("Training_set/alpha/c.png", (40, 50)), ("Test_set/alpha/x.png", (8, 9))):
        cv2.imwrite(str(root / path), np.full(shape, 100 * 257, np.uint16))
    data = build(root, deep_alphas=True)
    assert [data.layers[2].alpha[0, 0], data.test[0].alpha[0, 0]] == [100, 100]
    with pytest.raises(DataError, match=r"c\.png has 16 bits a channel; convert .* or, if it is an alpha"):
        build(root)
    decoded = build(root, deep_alphas=True, decoded=str(root / "decoded"))
    assert decoded.layers[2].alpha[0, 0] == 100


def test_a_composite_may_have_an_alpha_of_its_own(root):
    shutil.move(root / "Test_set/alpha/x.png", root / "Test_set/alpha/x_0.png")
    save(root / "Test_set/alpha/x_10.png", 8, 9, value=7)
    assert [case.alpha[0, 0] for case in build(root).test] == [101, 7, 102]


def test_composites_of_foregrounds_whose_names_look_alike(root):
    save(root / "Test_set/merged/x_1.png", 8, 9, 3)  # the second composite of x, not of x_1
    save(root / "Test_set/trimaps/x_1.png", 8, 9)
    data = build(root)
    assert data.test[data.test_names.index("x_1")].alpha[0, 0] == 101


def test_composites_without_a_number_are_foregrounds_of_their_own(root):
    for folder in ("merged", "trimaps", "alpha"):
        save(root / "Test_set" / folder / "x_day.png", 8, 9, value=255)
    (root / "test.txt").write_text("x\nx_day\n")
    assert build(root, test_list="test.txt").test_names == ["x_0", "x_10", "x_day"]


def test_lists_choose_and_order(root):
    (root / "train.txt").write_text("c.png\na.1.jpg\n")
    (root / "test.txt").write_text("x_1\nx_10.png\n")
    data = build(root, train_list="train.txt", test_list=str(root / "test.txt"))
    assert data.layer_names == ["c", "a.1"]
    assert data.layers[0].alpha.shape == (40, 50)
    assert data.test_names == ["x_1_0", "x_10"]
    (root / "test.txt").write_text("x\nx_0\n")  # x_0 counts once
    assert build(root, test_list="test.txt").test_names == ["x_0", "x_10"]


def test_the_released_archive_as_it_is_unpacked(root):
    """Two folders of training foregrounds are one training set."""
    training, test = root / "Training_set", root / "Test_set"
    for part, place, folders in (
        (training, "Adobe-licensed images", ("fg", "alpha")),
        (test, "Adobe-licensed images", ("alpha", "trimaps")),
    ):
        (part / place).mkdir()
        for folder in folders:
            (part / folder).rename(part / place / folder)
    for folder in ("fg", "alpha"):
        (training / "Other" / folder).mkdir(parents=True)
        (training / f"Adobe-licensed images/{folder}/b.jpg").rename(training / f"Other/{folder}/b.jpg")
    data = build(root)
    assert data.layer_names == ["a.1", "b", "c"]
    assert [layer.alpha.shape for layer in data.layers] == [(30, 50), (20, 50), (40, 50)]
    assert data.test_names == ["x_0", "x_10", "x_1_0"]
    (training / "Other/alpha/b.jpg").unlink()
    with pytest.raises(
        DataError, match=r"Training_set/\*/alpha has no image for 1 name\(s\) of Training_set/\*/fg: b;"
    ):
        build(root)
    save(training / "Other/fg/c.jpg", 9, 9, 3)
    message = r"Training_set holds both Adobe-licensed images/fg/c.png and Other/fg/c.jpg: remove one"
    with pytest.raises(DataError, match=message):
        build(root)


def test_training_on_all_data(root):
    for name in ("x", "x_1"):
        save(root / "Test_set/fg" / f"{name}.png", 8, 9, 3)
    (root / "train.txt").write_text("c\na.1\n")
    assert build(root).layer_names == ["a.1", "b", "c"]
    data = build(root, split=Split.all, train_list="train.txt")
    assert data.layer_names == ["c", "a.1", "x", "x_1"]
    assert [layer.name for layer in data.layers] == data.layer_names
    assert data.layers[2].alpha[0, 0] == 101
    assert build(root, split=Split.all, limit_train=4).layer_names == ["a.1", "b", "c", "x"]
    # The test set is what it was, and a result says that it was seen in training.
    assert data.checksum() == build(root).checksum()
    assert seen_in_training(list(data.layer_names), list(data.test_names))[0].startswith("3 of 3 test images")


def test_training_on_all_data_needs_the_test_foregrounds(root):
    with pytest.raises(
        DataError, match=r"split=all trains on the test foregrounds too, but there is no folder .*_set/fg"
    ):
        build(root, split=Split.all)
    save(root / "Test_set/fg/x.png", 8, 9, 3)
    with pytest.raises(DataError, match=r"Test_set/fg has no image for 1 name\(s\) of Test_set/alpha: x_1"):
        build(root, split=Split.all)


def test_the_split_is_part_of_a_run():
    runs = [
        compose(["dataset=adobe", "dataset.root=/d", *more])
        for more in ([], ["dataset.split=train"], ["dataset.split=all"])
    ]
    one, same, other = map(identity, runs)
    assert one == same != other
    with pytest.raises(ConfigError, match=r"dataset.split.*train, all"):
        compose(["dataset=adobe", "dataset.split=test"])


def test_decoded_layers_lie_where_the_option_says(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoded")
    data = build(root, decoded=str(folder))
    layers = [data.layers[index] for index in range(len(data.layers))]
    assert len(list(folder.iterdir())) == 2 * len(layers)
    for layer, plain in zip(layers, build(root).layers, strict=True):
        np.testing.assert_array_equal(layer.foreground, plain.foreground)
        np.testing.assert_array_equal(layer.alpha, plain.alpha)


def test_limits(root):
    data = build(root, limit_train=2, limit_test=1)
    assert data.layer_names == ["a.1", "b"]
    assert len(data.layers) == 2
    assert data.test_names == ["x_0"]
    assert data.checksum() != build(root).checksum()


def test_backgrounds_of_the_released_layout_come_first(root):
    save(root / "Training_set/train2014/p.jpg", 11, 11)  # a grey photograph
    assert build(root).backgrounds[0].shape == (11, 11, 3)
    assert build(root, backgrounds="Training_set/bg").backgrounds[0].shape == (10, 10, 3)


def test_test_set_alone_serves_evaluation(root):
    shutil.rmtree(root / "Training_set")
    data = build(root)
    assert data.layers is None
    assert data.backgrounds is None
    assert len(data.test) == 3


def test_checksum_sees_a_changed_pixel_but_not_the_place(root, tmp_path_factory):
    before = build(root).checksum()
    other = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(root, other)
    assert build(other).checksum() == before
    save(other / "Test_set/trimaps/x_0.png", 8, 9, value=255)
    assert build(other).checksum() != before


def test_no_root():
    with pytest.raises(DataError, match="adobe has no root: set it to the folder that holds"):
        AdobeConfig().build()


def test_root_that_is_not_there(root):
    with pytest.raises(DataError, match=rf"no folder {root}/Adobe; {root} holds Test_set, Training_set"):
        build(root / "Adobe")


def test_root_one_level_off(root):
    with pytest.raises(DataError, match=r"no folder Test_set; it holds alpha, bg, fg"):
        build(root / "Training_set")


@pytest.mark.parametrize("folder", ["Training_set/fg", "Training_set/alpha", "Test_set/merged", "Test_set/trimaps"])
def test_missing_and_empty_folders(root, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(DataError, match=rf"no folder {root}/{folder}; .* holds"):
        build(root)
    (root / folder).mkdir()
    with pytest.raises(DataError, match=rf"{root}/{folder} holds no image .*; it holds nothing"):
        build(root)


def test_no_backgrounds(root):
    shutil.rmtree(root / "Training_set/bg")
    with pytest.raises(DataError, match=r"neither train2014 nor bg.* it holds alpha, fg"):
        build(root)
    with pytest.raises(DataError, match=r"no folder .*elsewhere"):
        build(root, backgrounds="elsewhere")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("Training_set/alpha/b.jpg", r"Training_set/alpha has no image for 1 name\(s\) of .*fg: b;"),
        ("Training_set/fg/b.jpg", r"Training_set/fg has no image for 1 name\(s\) of .*alpha: b;"),
        ("Test_set/trimaps/x_0.png", r"Test_set/trimaps has no image for 1 .*merged: x_0;"),
        ("Test_set/merged/x_0.png", r"Test_set/merged has no image for 1 .*trimaps: x_0;"),
        ("Test_set/alpha/x_1.png", r"Test_set/alpha has no image for 1 .*merged: x_1; it holds x"),
    ],
)
def test_names_that_do_not_match(root, file, message):
    (root / file).unlink()
    with pytest.raises(DataError, match=message):
        build(root)


def test_listed_names_that_are_not_there(root):
    (root / "list.txt").write_text("a.1\nnope\n")
    with pytest.raises(DataError, match=r"fg has no image for 1 name\(s\) of the list list.txt: nope"):
        build(root, train_list="list.txt")
    with pytest.raises(DataError, match=r"merged has no image for 2 .* list.txt: a.1, nope"):
        build(root, test_list="list.txt")


@pytest.mark.parametrize("folder", ["merged", "trimaps"])
def test_test_files_of_other_size_are_found_at_once(root, folder):
    save(root / "Test_set" / folder / "x_10.png", 8, 10)
    with pytest.raises(DataError, match=rf"{folder}/x_10.png is 10 x 8") as caught:
        build(root)
    for other in ("merged/x_10.png", "trimaps/x_10.png", "alpha/x.png"):
        assert other in str(caught.value)


def test_layer_of_two_sizes_names_both_files(root):
    save(root / "Training_set/alpha/c.png", 40, 51)
    message = r"fg/c.png is 50 x 40, .*alpha/c.png is 51 x 40 pixels .*must agree"
    with pytest.raises(DataError, match=message):
        build(root)


def test_trimap_of_other_values(root):
    save(root / "Test_set/trimaps/x_10.png", 8, 9, value=127)
    with pytest.raises(DataError, match=r"trimaps/x_10.png holds the value\(s\) 127"):
        build(root).test[1]


def test_photographs(shared):
    data = build(shared / "data" / "adobe-mini")
    assert (len(data.layers), len(data.backgrounds), len(data.test)) == (14, 12, 20)
    assert len(data.layer_names) == 14
    assert len(build(shared / "data" / "adobe-mini", split=Split.all).layers) == 18
    # The merged pictures were made from the foregrounds next to them: alpha 255 copies.
    for index in (0, 7, 19):
        case = data.test[index]
        stem = case.name.rpartition("_")[0]
        foreground = cv2.imread(str(shared / f"data/adobe-mini/Test_set/fg/{stem}.png"))[..., ::-1]
        opaque = case.alpha == 255
        assert opaque.any()
        np.testing.assert_array_equal(case.image[opaque], foreground[opaque])
