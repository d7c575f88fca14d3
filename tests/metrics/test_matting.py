"""The four metrics against values of the MATLAB program and slow implementations."""

import csv
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import convolve

from a2u.errors import A2UError, DataError
from a2u.metrics import MattingMetrics, UndefinedMetric, all_metrics, conn, grad, mse, sad

FUNCTIONS = [sad, mse, grad, conn]

# Patterns made for the purpose, in tests/reference; what came from photographs is not distributed.
MADE = ["const_pred", "diagonal_4conn", "low_range", "perfect", "plateau_153"]
MADE += ["tie_components", "tie_plain", "zero_pred"]
PHOTOGRAPHS = ["lemur_blur", "lemur_dim", "lemur_noise", "lemur_quant"]
PHOTOGRAPHS += ["net_shift", "plant_quant", "troll_mix"]

# Values where alphas meet Conn's thresholds exactly (51, 102, 153, 204) or just miss them.
LEVELS = [0, 1, 25, 26, 50, 51, 102, 127, 128, 152, 153, 178, 179, 204, 229, 230, 254, 255]


@st.composite
def triples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw small images with few values, so that components tie, and at least one unknown pixel."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=7))
    levels = st.sampled_from(draw(st.sampled_from([[0, 255], [0, 204, 255], LEVELS])))
    pred, alpha = (draw(arrays(np.uint8, shape, elements=levels, fill=st.nothing())) for _ in "pa")
    trimap = draw(arrays(np.uint8, shape, elements=st.sampled_from([128, 0, 255])))
    assume((trimap == 128).any())
    return pred, alpha, trimap


def slow_component(mask: list[list[bool]]) -> set[tuple[int, int]]:
    """Largest 4-connected component by flood fill, seeds taken down the columns, first of equals."""
    height, width = len(mask), len(mask[0])
    seen: set[tuple[int, int]] = set()
    largest: set[tuple[int, int]] = set()
    for column in range(width):
        for row in range(height):
            if not mask[row][column] or (row, column) in seen:
                continue
            component, queue = {(row, column)}, deque([(row, column)])
            while queue:
                y, x = queue.popleft()
                for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    inside = 0 <= near[0] < height and 0 <= near[1] < width
                    if inside and mask[near[0]][near[1]] and near not in component:
                        component.add(near)
                        queue.append(near)
            seen |= component
            if len(component) > len(largest):
                largest = component
    return largest


def slow_conn(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> float:
    """Conn in whole numbers: thresholds are i/10, values v/255, so that d = (2v - 51i) / 510."""
    p, a = pred.tolist(), alpha.tolist()
    height, width = pred.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    last_step: dict[tuple[int, int], int] = {}
    for i in range(1, 11):
        shared = [[10 * p[y][x] >= 255 * i and 10 * a[y][x] >= 255 * i for x in range(width)] for y in range(height)]
        component = slow_component(shared)
        if component:
            for pixel in pixels:
                if pixel not in component:
                    last_step.setdefault(pixel, i - 1)

    def above(value: int, i: int) -> int:
        return 2 * value - 51 * i if 2 * (2 * value - 51 * i) >= 153 else 0  # 0.15 = 76.5 / 510

    total = 0
    for y, x in pixels:
        if trimap[y, x] == 128:
            i = last_step.get((y, x), 10)
            total += abs(above(p[y][x], i) - above(a[y][x], i))
    return total / 510 / 1000


def slow_magnitude(image: np.ndarray) -> np.ndarray:
    """|∇| by a full 9 x 9 filter on an image stretched by its own extremes."""
    values = image.astype(np.float64)
    if np.ptp(values) == 0:
        return np.zeros_like(values)
    values = (values - values.min()) / np.ptp(values)
    y, x = np.mgrid[-4:5, -4:5]
    kernel = x * np.exp(-(x**2 + y**2) / (2 * 1.4**2))
    kernel /= np.sqrt((kernel**2).sum())
    along_x, along_y = (convolve(values, k, mode="nearest") for k in (kernel, kernel.T))
    return np.sqrt(along_x**2 + along_y**2)


def slow_metrics(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    unknown = [tuple(pixel) for pixel in np.argwhere(trimap == 128)]
    differences = [int(pred[pixel]) - int(alpha[pixel]) for pixel in unknown]
    gradients = slow_magnitude(pred) - slow_magnitude(alpha)
    return {
        "sad": sum(map(abs, differences)) / 255 / 1000,
        "mse": sum(d * d for d in differences) / 255**2 / len(unknown),
        "grad": sum(gradients[pixel] ** 2 for pixel in unknown) / 1000,
        "conn": slow_conn(pred, alpha, trimap),
    }


def unknown_everywhere(image: np.ndarray) -> np.ndarray:
    return np.full_like(image, 128)


def noise(seed: int, shape: tuple[int, int]) -> list[np.ndarray]:
    """[prediction, alpha, trimap] without structure."""
    generator = np.random.default_rng(seed)
    pred, alpha = generator.integers(0, 256, (2, *shape), dtype=np.uint8)
    return [pred, alpha, generator.choice(np.uint8([0, 128, 255]), shape)]


@pytest.mark.parametrize("case", MADE)
def test_equals_matlab_program(case: str, reference: Path, read_triple: Callable, assert_reference: Callable) -> None:
    folder = reference / "metrics"
    assert_reference(all_metrics(*read_triple(folder, case)), folder / "expected.csv", case)


@pytest.mark.parametrize("case", PHOTOGRAPHS)
def test_equals_matlab_program_on_photographs(
    case: str, shared: Path, read_triple: Callable, assert_reference: Callable
) -> None:
    folder = shared / "fixtures" / "metrics"
    assert_reference(all_metrics(*read_triple(folder, case)), folder / "expected.csv", case)


@given(triples())
def test_equals_slow_version(images: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert all_metrics(*images) == pytest.approx(slow_metrics(*images), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 23), (19, 1), (21, 34)])
def test_equals_slow_version_on_noise(shape: tuple[int, int]) -> None:
    pred, alpha, trimap = noise(3, shape)
    trimap[0, 0] = 128
    expected = slow_metrics(pred, alpha, trimap)
    assert all_metrics(pred, alpha, trimap) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("patch", [np.s_[:3, :2], np.s_[20:21, 30:31], np.s_[36:, 50:]])
def test_equals_slow_version_where_little_is_unknown(patch: tuple[slice, slice]) -> None:
    pred, alpha, trimap = noise(37, (40, 60))
    trimap[:] = 0
    trimap[patch] = 128
    expected = slow_metrics(pred, alpha, trimap)
    assert all_metrics(pred, alpha, trimap) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_largest_component_may_be_another_one_at_every_threshold() -> None:
    # Separate bars, the brighter the shorter: the longest that reaches a threshold is the faintest that does.
    alpha = np.zeros((19, 30), np.uint8)
    for bar, value in enumerate(range(30, 256, 25)):
        alpha[2 * bar, : 30 - 3 * bar] = value
    pred = np.where(alpha, alpha - 5, 0).astype(np.uint8)
    found = conn(pred, alpha, unknown_everywhere(alpha))
    assert found == pytest.approx(slow_conn(pred, alpha, unknown_everywhere(alpha)), rel=1e-6)


def test_every_value_meets_the_thresholds_as_exact_fractions_do() -> None:
    # Neighbours differ by one level, so each threshold keeps one run of this row.
    pred = np.arange(256, dtype=np.uint8)[None]
    alpha = np.full_like(pred, 255)
    found = conn(pred, alpha, unknown_everywhere(pred))
    assert found == pytest.approx(slow_conn(pred, alpha, unknown_everywhere(pred)), rel=1e-6)


@pytest.mark.parametrize(
    ("faint_at", "expected"),
    # The component kept at equal size is the faint one at the lower left: it counts 1 - 0.7 a
    # pixel; or the faint one at the upper right is dropped at once and counts 1 - 200/255.
    [("lower left", 4 * 0.3 / 1000), ("upper right", 4 * 55 / 255 / 1000)],
)
def test_tie_goes_to_the_first_down_the_columns(faint_at: str, expected: float) -> None:
    alpha = np.zeros((5, 6), np.uint8)
    alpha[3:5, 0:2] = alpha[0:2, 4:6] = 255
    pred = alpha.copy()
    if faint_at == "lower left":
        pred[3:5, 0:2] = 200
    else:
        pred[0:2, 4:6] = 200
    assert conn(pred, alpha, unknown_everywhere(alpha)) == pytest.approx(expected, rel=1e-6)


def test_all_metrics_equals_the_four_functions() -> None:
    images = noise(5, (37, 53))
    assert all_metrics(*images) == {f.__name__: f(*images) for f in FUNCTIONS}


@given(triples())
def test_perfect_prediction_costs_nothing(
    images: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    _, alpha, trimap = images
    assert set(all_metrics(alpha, alpha, trimap).values()) == {0.0}


@given(triples())
def test_prediction_and_alpha_may_change_places(images: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    pred, alpha, trimap = images
    assert all_metrics(alpha, pred, trimap) == pytest.approx(all_metrics(pred, alpha, trimap), rel=1e-12)


@given(triples())
def test_without_an_unknown_pixel_nothing_is_measured(images: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Undefined, not NaN, and left out of the mean."""
    pred, alpha, trimap = images
    metrics = MattingMetrics()
    metrics.update("undefined", pred, alpha, np.where(trimap == 128, np.uint8(0), trimap))
    metrics.update("defined", pred, alpha, trimap)
    assert metrics.undefined == ["undefined"]
    assert metrics.mean() == pytest.approx(all_metrics(pred, alpha, trimap))


def test_only_the_unknown_region_counts_but_the_whole_image_connects() -> None:
    pred, alpha, trimap = noise(7, (20, 30))
    trimap[:, :15], trimap[:, 15:] = 0, 128
    pred[0, 15:17] = 0, 255  # what stretches the image stays
    elsewhere = pred.copy()
    elsewhere[:, :8] = 255 - elsewhere[:, :8]  # beyond the reach of the gradient filter
    assert sad(pred, alpha, trimap) == sad(elsewhere, alpha, trimap)
    assert mse(pred, alpha, trimap) == mse(elsewhere, alpha, trimap)
    assert grad(pred, alpha, trimap) == pytest.approx(grad(elsewhere, alpha, trimap), rel=1e-12)

    bar = np.full((1, 9), 255, np.uint8)  # cutting it in the known part loses the short end
    cut = bar.copy()
    cut[0, 6] = 0
    trimap = np.uint8([[255] * 7 + [128] * 2])
    assert conn(bar, bar, trimap) == 0
    lost = 2 * (1 - 127 / 255) / 1000
    assert conn(cut // 2, bar, trimap) == pytest.approx(lost, rel=1e-6)
    assert conn(bar // 2, bar, trimap) == 0


@pytest.mark.parametrize("view", ["transposed", "mirrored", "strided"])
def test_memory_layout_does_not_matter(view: str) -> None:
    images = noise(11, (40, 40))
    views = {
        "transposed": [image.T for image in images],
        "mirrored": [image[::-1, ::-1] for image in images],
        "strided": [image[::2, 1::3] for image in images],
    }[view]
    assert all_metrics(*views) == pytest.approx(all_metrics(*map(np.ascontiguousarray, views)))


def test_inputs_are_left_alone() -> None:
    images = noise(13, (16, 16))
    before = [image.copy() for image in images]
    for image in images:
        image.setflags(write=False)
    all_metrics(*images)
    assert all(np.array_equal(a, b) for a, b in zip(before, images, strict=True))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_and_a_memory_map_are_arrays(reference: Path, read_triple: Callable, tmp_path: Path) -> None:
    images = read_triple(reference / "metrics", "diagonal_4conn")
    expected = all_metrics(*images)
    for index, image in enumerate(images):
        np.save(tmp_path / f"{index}.npy", image)
    assert all_metrics(*(np.load(tmp_path / f"{index}.npy", mmap_mode="r") for index in range(3))) == expected
    assert all_metrics(*map(np.matrix, images)) == expected


def over_all_pixels(pred: np.ndarray, alpha: np.ndarray, trimap: np.ndarray) -> dict[str, float]:
    """SAD, MSE and Conn by the rules that docs/deviations.md gives for mmagic."""
    pred, alpha = pred / 255, alpha / 255
    ends = np.ones(pred.shape)
    for step in range(10, 0, -1):
        threshold = np.arange(0, 1.1, 0.1)[step]
        component = slow_component(((pred >= threshold) & (alpha >= threshold)).tolist())
        for pixel in np.ndindex(pred.shape):
            if pixel not in component:
                ends[pixel] = (step - 1) / 10
    phi = [(image - ends) * (image - ends >= 0.15) for image in (pred, alpha)]
    return {
        "SAD": float(np.abs(pred - alpha).sum()) / 1000,
        "MSE": float(np.square(pred - alpha).sum()) / np.count_nonzero(trimap == 128),
        "Conn": float(np.abs(phi[0] - phi[1])[trimap == 128].sum()) / 1000,
    }


@pytest.mark.parametrize(
    ("row", "images"),
    [
        ("SAD", ([0, 99], [51, 99], [0, 128])),
        ("MSE", ([0, 99], [51, 99], [0, 128])),
        ("Conn: thresholds", ([153, 255], [255, 255], [128, 128])),
        ("Conn: a threshold that", ([0, 0], [255, 255], [128, 128])),
    ],
)
def test_the_examples_beside_mmagic(row: str, images: tuple[list[int], ...]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "deviations.md").read_text()
    [line] = [line for line in page.splitlines() if line.startswith(f"| {row}") and len(line.split("|")) == 8]
    *_, theirs, ours = (1e-3 * float(cell) for cell in line.split("|")[-3:-1])
    arrays = [np.uint8([image]) for image in images]
    metric = row.partition(":")[0]
    assert all_metrics(*arrays)[metric.lower()] == pytest.approx(ours)
    assert over_all_pixels(*arrays)[metric] == pytest.approx(theirs)


@pytest.mark.parametrize("function", [*FUNCTIONS, all_metrics])
class TestBadInput:
    good = np.full((3, 4), 128, np.uint8)

    @pytest.mark.parametrize(
        ("position", "bad", "words"),
        [
            (0, good / 255, ["prediction", "float64", "uint8"]),
            (1, good > 0, ["true alpha", "bool", "uint8"]),
            (2, good.astype(np.int64), ["trimap", "int64", "uint8"]),
            (0, good.tolist(), ["prediction", "list", "NumPy"]),
            (0, np.ma.masked_array(good, good > 100), ["prediction", "masked array", "mask would be ignored"]),
            (2, np.ma.masked_array(good), ["trimap", "masked array"]),
            (0, good[..., None], ["prediction", "(3, 4, 1)", "channel"]),
            (1, good[None], ["true alpha", "(1, 3, 4)", "channel"]),
            (2, good[0], ["trimap", "(4,)", "channel"]),
            (0, good.T, ["prediction", "(4, 3)", "(3, 4)", "same image"]),
            (2, good[:, :3], ["trimap", "(3, 3)", "(3, 4)", "same image"]),
            (2, good - np.eye(3, 4, dtype=np.uint8), ["trimap", "127, 128", "unknown"]),
        ],
    )
    def test_is_refused_in_a_sentence(self, function: Callable, position: int, bad: object, words: list[str]) -> None:
        images: list[object] = [self.good] * 3
        images[position] = bad
        with pytest.raises(DataError) as caught:
            function(*images)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    @pytest.mark.parametrize(
        ("trimap", "found"),
        [
            (np.zeros((3, 4), np.uint8), "values are 0"),
            (np.full((3, 4), 255, np.uint8), "values are 255"),
            (np.uint8([[0, 255]]), "values are 0, 255"),
            (np.zeros((0, 4), np.uint8), "empty"),
        ],
    )
    def test_no_unknown_region_is_undefined(self, function: Callable, trimap: np.ndarray, found: str) -> None:
        with pytest.raises(UndefinedMetric, match=found):
            function(trimap, trimap, trimap)


def test_undefined_metric_is_a_users_error() -> None:
    assert issubclass(UndefinedMetric, A2UError)
    assert issubclass(UndefinedMetric, ValueError)


def test_a_photograph_as_trimap_is_named_briefly() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    with pytest.raises(DataError, match=r"0, 1, 2, .*\(256 values\)") as caught:
        sad(ramp, ramp, ramp)
    assert len(str(caught.value)) < 300


class TestAccumulator:
    def filled(self) -> tuple[MattingMetrics, dict[str, dict[str, float]]]:
        """Two measured images, and one without an unknown region between them."""
        metrics = MattingMetrics()
        first, second = noise(19, (12, 18)), noise(23, (9, 7))
        metrics.update("first", *first)
        metrics.update("all, known", *first[:2], np.zeros_like(first[2]))
        metrics.update("second", *second)
        return metrics, {"first": all_metrics(*first), "second": all_metrics(*second)}

    def test_mean_leaves_undefined_images_out(self) -> None:
        metrics, values = self.filled()
        mean = {k: (v + values["second"][k]) / 2 for k, v in values["first"].items()}
        assert list(metrics.mean()) == ["sad", "mse", "grad", "conn"]
        assert metrics.mean() == pytest.approx(mean, rel=1e-12)
        assert metrics.undefined == ["all, known"]

    def test_rows_keep_the_order(self) -> None:
        metrics, values = self.filled()
        assert metrics.rows() == [
            {"name": "first", **values["first"]},
            {"name": "all, known", "sad": None, "mse": None, "grad": None, "conn": None},
            {"name": "second", **values["second"]},
        ]

    def test_csv_reads_back(self, tmp_path: Path) -> None:
        metrics, values = self.filled()
        file = tmp_path / "new folder" / "metrics.csv"
        metrics.write_csv(file)
        first, undefined, second = csv.DictReader(file.open(newline="", encoding="utf-8"))
        assert undefined == {"name": "all, known", "sad": "", "mse": "", "grad": "", "conn": ""}
        for row in (first, second):
            assert {k: float(row[k]) for k in values["first"]} == values[row["name"]]
        assert file.read_text().startswith("name,sad,mse,grad,conn\n")
        assert [path.name for path in file.parent.iterdir()] == ["metrics.csv"]

    def test_interrupted_csv_leaves_the_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics, _ = self.filled()
        file = tmp_path / "metrics.csv"
        file.write_text("old")
        rows = metrics.rows()
        monkeypatch.setattr(metrics, "rows", lambda: [rows[0], {"no such column": 1}])
        with pytest.raises(ValueError, match="no such column"):
            metrics.write_csv(file)
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]

    def test_no_mean_of_nothing(self) -> None:
        metrics = MattingMetrics()
        with pytest.raises(UndefinedMetric, match="0 images"):
            metrics.mean()
        known = np.zeros((2, 2), np.uint8)
        metrics.update("known", known, known, known)
        with pytest.raises(UndefinedMetric, match="1 images"):
            metrics.mean()

    def test_errors_name_the_image(self) -> None:
        metrics, _ = self.filled()
        images = noise(29, (4, 4))
        with pytest.raises(DataError, match=r"'photo_3'.*uint8"):
            metrics.update("photo_3", images[0] / 255, *images[1:])
        with pytest.raises(DataError, match=r"'first'.*second time"):
            metrics.update("first", *images)
        assert [row["name"] for row in metrics.rows()] == ["first", "all, known", "second"]


@pytest.mark.slow
def test_a_full_size_image_takes_under_half_a_second_of_one_core() -> None:
    pred, alpha, _ = (cv2.GaussianBlur(i, (0, 0), 3) for i in noise(31, (1240, 1600)))
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        all_metrics(pred, alpha, unknown_everywhere(alpha))
        start = time.process_time()
        all_metrics(pred, alpha, unknown_everywhere(alpha))
        assert time.process_time() - start < 0.5
    finally:
        cv2.setNumThreads(threads)
