"""Prediction at full resolution: padding, clamping, known pixels, rounding."""

from threading import current_thread, main_thread

import numpy as np
import pytest
import torch
from torch import nn

from a2u.config import compose
from a2u.data.types import Composite
from a2u.engine.evaluate import PROGRAMS, PredictionError, evaluate, predict
from a2u.engine.prepare import evaluation_threads
from a2u.errors import ConfigError, DataError
from a2u.metrics import all_metrics, released
from a2u.models.networks.base import MattingNetwork
from a2u.network_input import network_input
from a2u.settings import validate


class Constant(MattingNetwork):
    """Predict one value everywhere and record the input."""

    multiple = 16

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return self.value * torch.ones(x.shape[0], 1, *x.shape[2:])


def case(height, width, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    trimap = rng.choice(np.array([0, 128, 255], dtype=np.uint8), (height, width))
    return image, trimap


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 1), (5, 40), (48, 33)])
def test_any_size_comes_back_at_its_size_with_known_pixels_pasted(size):
    image, trimap = case(*size)
    model = Constant(0.3).eval()
    alpha = predict(model, image, trimap)
    assert alpha.shape == size
    assert alpha.dtype == np.uint8
    assert np.array_equal(alpha, np.where(trimap == 128, round(0.3 * 255), trimap))
    assert model.seen[0].shape[2] % 16 == 0
    assert model.seen[0].shape[3] % 16 == 0


def test_padding_reflects_at_the_right_and_bottom():
    image, trimap = case(17, 16)
    model = Constant(0.0).eval()
    predict(model, image, trimap)
    shown = model.seen[0][0]
    for row in range(17, 32):
        assert torch.equal(shown[:, row], shown[:, 32 - row])  # row 17 mirrors row 15 about row 16
    np.testing.assert_allclose(shown[3, :17, :16], trimap / 255, rtol=1e-6)


class Resized(Constant):
    multiple, fit = 32, "resize"

    def forward(self, x):
        self.seen.append(x)
        return x[:, 3:] * self.value


@pytest.mark.parametrize("size", [(32, 64), (33, 50), (7, 31)])
def test_a_network_that_resizes_gets_whole_multiples_and_gives_the_size_back(size):
    """IndexNet Matting and DIM: image enlarged bicubically, trimap to the nearest, and the prediction back."""
    image, trimap = case(*size)
    model = Resized(1.0).eval()
    predict(model, image, trimap)
    assert set(model.seen.pop()[0, 3].unique().tolist()) <= {0.0, np.float32(128 / 255), 1.0}
    trimap[:] = 128
    alpha = predict(model, image, trimap)
    assert model.seen[0].shape[2:] == tuple(-(-side // 32) * 32 for side in size)
    assert alpha.shape == size
    assert (alpha == 128).all()  # a constant map stays one
    if size == (32, 64):
        torch.testing.assert_close(model.seen[0][0], network_input(image, trimap))


@pytest.mark.parametrize(
    ("value", "nearest", "truncated"), [(1.7, 255, 255), (-0.4, 0, 0), (0.999, 255, 254), (100.7 / 255, 101, 100)]
)
def test_predictions_are_clamped_and_rounded(value, nearest, truncated):
    image, trimap = case(16, 16)
    trimap[:] = 128
    model = Constant(value).eval()
    assert (predict(model, image, trimap) == nearest).all()
    assert (predict(model, image, trimap, "truncate") == truncated).all()


def test_evaluation_measures_every_image_and_writes_what_was_measured(tmp_path):
    import cv2

    cases = []
    for index in range(3):
        image, trimap = case(20, 18, index)
        cases.append(Composite(f"image_{index}", image, trimap, trimap))
    model = Constant(0.5).train()
    metrics = evaluate(model, cases, compose([]).metrics, tmp_path)
    assert model.training
    assert [row["name"] for row in metrics.rows()] == ["image_0", "image_1", "image_2"]
    for row, item in zip(metrics.rows(), cases, strict=True):
        written = cv2.imread(str(tmp_path / f"{item.name}.png"), cv2.IMREAD_UNCHANGED)
        expected = all_metrics(written, item.alpha, item.trimap)
        assert {name: row[name] for name in expected} == expected


def test_the_released_programs_metrics_are_a_choice():
    image, trimap = case(40, 40)
    alpha = np.where(trimap == 128, np.arange(40, dtype=np.uint8)[None] * 5, trimap)
    item = Composite("image", image, trimap, alpha)
    model = Constant(0.5)
    found = evaluate(model, [item], compose(["metrics=released_python"]).metrics).mean()
    prediction = predict(model.eval(), image, trimap)
    assert found == released.all_metrics(prediction, alpha, trimap)
    assert found != all_metrics(prediction, alpha, trimap)


def several(count, read=None):
    """Test cases that are made when they are read, which is recorded."""

    class Cases:
        def __len__(self):
            return count

        def __getitem__(self, index):
            if read is not None:
                read(index)
            image, trimap = case(20 + index % 3, 30, index)
            return Composite(f"image_{index}", image, trimap, image[..., 0])

    return Cases()


@pytest.mark.parametrize("threads", [2, 5])
def test_the_number_of_threads_changes_nothing(threads, tmp_path):
    def evaluated(threads):
        seen = []
        folder = tmp_path / str(threads)

        def note(done, total, item, prediction):
            seen.append((done, total, item.name, prediction.tobytes()))
            assert (folder / f"{item.name}.png").is_file()
            assert current_thread() is main_thread()

        metrics = evaluate(Constant(0.4), several(12), compose([]).metrics, folder, note, threads)
        metrics.write_csv(folder / "metrics.csv")
        return seen, {path.name: path.read_bytes() for path in folder.iterdir()}

    assert evaluated(threads) == evaluated(1)
    seen, files = evaluated(threads)
    assert [name for _, _, name, _ in seen] == [f"image_{index}" for index in range(12)]
    assert len(files) == 13


def test_other_threads_read_and_measure_but_the_callers_predicts(monkeypatch):
    reading, predicting, measuring = set(), set(), set()

    def measure(*images):
        measuring.add(current_thread())
        return all_metrics(*images)

    class Noting(Constant):
        def forward(self, x):
            predicting.add(current_thread())
            return super().forward(x)

    monkeypatch.setitem(PROGRAMS, "matlab", measure)
    cases = several(6, lambda _: reading.add(current_thread()))
    evaluate(Noting(0.4), cases, compose([]).metrics, threads=2)
    assert predicting == {main_thread()}
    assert len(reading | measuring) in (1, 2)  # a thread that is free takes the next work
    assert main_thread() not in reading | measuring


def test_few_cases_are_under_way():
    finished, ahead = [], []
    cases = several(30, lambda index: ahead.append(index - len(finished)))
    evaluate(Constant(0.4), cases, compose([]).metrics, seen=lambda *_: finished.append(1), threads=2)
    assert max(ahead) <= 2 * (2 + 1)  # three being read, three being measured


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_anywhere_comes_as_itself_and_soon(threads, monkeypatch, tmp_path):
    def damaged(index):
        read.append(index)
        if index == 2:
            raise DataError("image_2 is damaged")

    read: list[int] = []
    with pytest.raises(DataError, match=r"^image_2 is damaged$"):
        evaluate(Constant(0.4), several(50, damaged), compose([]).metrics, threads=threads)
    assert len(read) < 10

    read.clear()
    (tmp_path / "image_1.png").mkdir()  # where a file is to go
    with pytest.raises(OSError, match="image_1"):
        evaluate(Constant(0.4), several(50, read.append), compose([]).metrics, tmp_path, threads=threads)
    assert len(read) < 15

    monkeypatch.setitem(PROGRAMS, "matlab", lambda *_: all_metrics([], *_[1:]))
    with pytest.raises(DataError, match="Image 'image_0': The prediction is of type list"):
        evaluate(Constant(0.4), several(5), compose([]).metrics, threads=threads)

    with pytest.raises(PredictionError):
        evaluate(Constant(float("nan")), several(5), compose([]).metrics, threads=threads)


def test_threads_are_as_many_as_pytorchs_unless_said():
    assert evaluation_threads(compose([])) == torch.get_num_threads()
    assert evaluation_threads(compose(["runtime.evaluation_threads=3"])) == 3
    with pytest.raises(ConfigError, match=r"runtime\.evaluation_threads must be at least 1; got 0\."):
        validate(compose(["runtime.evaluation_threads=0"]))
