"""Measure anybody's alphas: SAD, MSE, Grad and Conn of every picture, and their mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from a2u.data.build import build_data
from a2u.data.files.folders import check_sizes, some
from a2u.data.files.images import read_deep_grey, read_grey, read_trimap
from a2u.data.files.layout import foreground_of
from a2u.data.files.photographs import find_files
from a2u.data.sampling.trimaps import TrimapValues, ValueRule
from a2u.data.types import DatasetConfig, MattingData, MattingDatasetConfig
from a2u.engine.evaluate import PROGRAMS
from a2u.engine.prefetch import mapping
from a2u.engine.provenance import available_cores
from a2u.engine.settings import MetricProgram
from a2u.errors import ConfigError, DataError, did_you_mean
from a2u.files import user_path
from a2u.metrics import MattingMetrics
from a2u.settings import MOST_PROCESSES, field, schema, validate

# What names may end in after the picture's own, by kind; scripts/predict.py writes NAME_alpha.png.
ENDINGS = {"predictions": ("_pred", "_alpha"), "truth": ("_alpha",), "trimaps": ("_trimap",)}
TEXTS = (*ENDINGS, "folder", "dataset.root")  # keys whose values are taken literally
Files = Mapping[str, Path]


@schema("measure")
@dataclass
class MeasureConfig(TrimapValues):
    """configs/measure.yaml: measure alphas against true ones, given as folders or as a dataset."""

    predictions: str = field("???", "a file, a folder, or a pattern such as alphas/*.png: what is measured")
    truth: str | None = field(None, "the same for true alphas")
    trimaps: str | None = field(None, "the same for trimaps; the unknown pixels, 128, are measured")
    dataset: DatasetConfig | None = field(None, "a dataset whose test set has truth and trimaps")
    deep_alphas: bool = field(
        False, "predictions and truth of 16 bits, or float in 0..1, are scaled to 8 bits; otherwise refused"
    )
    program: MetricProgram = field(MetricProgram.matlab, "released_python: the figures of the authors' Python as well")
    folder: str = field("outputs/measure", "where the CSV files go")
    jobs: int | None = field(None, "threads; null: one per CPU core", least=1, most=MOST_PROCESSES)
    progress: bool = field(True, "a bar, where stderr is a terminal")


class Case(NamedTuple):
    """A prediction, and how to read its true alpha and trimap: (H, W) uint8 each, and where they come from."""

    name: str
    prediction: Path
    read: Callable[[], tuple[np.ndarray, np.ndarray]]
    origin: Path


class Measured(NamedTuple):
    """The metrics by program, what is wrong in sentences, and the CSV files."""

    metrics: dict[str, MattingMetrics]
    problems: list[str]
    files: list[Path]


def measure(cfg: DictConfig) -> Measured:
    """Measure every prediction that has a true alpha and a trimap; write one CSV file per program.

    What is missing, misnamed or damaged is a problem, and the others are measured: their mean is not one of all.

    Raises:
        ConfigError: neither a dataset nor both folders are given, or both are.
        DataError: nothing can be measured.
    """
    validate(cfg)
    given = [key for key in ("truth", "trimaps") if cfg[key] is not None]
    if len(given) != (2 if cfg.dataset is None else 0):
        raise ConfigError("give either truth=DIR and trimaps=DIR, or dataset=NAME with dataset.root=DIR.")
    if cfg.dataset is not None and cfg.trimap_values is not ValueRule.exact:
        raise ConfigError("trimap_values= is for trimaps=DIR; those of a dataset are read as they are.")
    read_alpha = read_deep_grey if cfg.deep_alphas else read_grey
    cases, problems = _cases_of_folders(cfg, read_alpha) if cfg.dataset is None else _cases_of_dataset(cfg)
    programs = dict.fromkeys([MetricProgram.matlab.name, cfg.program.name])
    metrics = {program: MattingMetrics(PROGRAMS[program]) for program in programs}

    def measured(case: Case) -> dict[str, dict[str, float]] | str:
        try:
            prediction, (truth, trimap) = read_alpha(case.prediction), case.read()
            check_sizes({case.prediction: prediction.shape, case.origin: truth.shape})
            return {name: each.measured(case.name, prediction, truth, trimap) for name, each in metrics.items()}
        except DataError as error:
            return str(error)

    cv2.setNumThreads(1)  # one picture per core
    hidden = None if cfg.progress else True  # None: where stderr is no terminal
    with mapping(cfg.jobs or available_cores()) as each:
        results = tqdm(each(measured, cases), total=len(cases), unit="picture", disable=hidden, dynamic_ncols=True)
        for case, values in zip(cases, results, strict=True):
            if isinstance(values, str):
                problems.append(values)
                continue
            for program, value in values.items():
                metrics[program].add(case.name, value)
    if not metrics["matlab"].images:
        raise DataError("nothing could be measured:\n  " + "\n  ".join(problems))
    folder, files = user_path(cfg.folder), []
    for program, each_metrics in metrics.items():
        files.append(folder / ("metrics.csv" if program == "matlab" else f"metrics_{program}.csv"))
        each_metrics.write_csv(files[-1])
    return Measured(metrics, problems, files)


def _cases_of_folders(cfg: DictConfig, read_alpha: Callable[[Path], np.ndarray]) -> tuple[list[Case], list[str]]:
    """Match predictions with truth and trimaps. Raises DataError where nothing matches or a match is ambiguous."""
    values = TrimapValues(cfg.trimap_values, cfg.low, cfg.high)
    if all(user_path(cfg[kind]).is_file() for kind in ENDINGS):  # belong together, whatever their names
        prediction, truth, trimap = (user_path(cfg[kind]) for kind in ENDINGS)
        return [Case(prediction.stem, prediction, _reader(truth, read_alpha, trimap, values), truth)], []
    found = {kind: find_files(kind, cfg[kind]) for kind in ENDINGS}
    share_a_folder = len({path for files in found.values() for path in files.values()}) < sum(map(len, found.values()))
    if share_a_folder or not set.intersection(*map(set, _both_partners(**found))):
        found = {kind: _without_ending(files, ENDINGS[kind]) for kind, files in found.items()}
    predictions, truths, trimaps = found.values()
    truth_of, trimap_of = _both_partners(**found)
    cases, problems = [], []
    for name, prediction in predictions.items():
        lacking = [kind for kind, of in (("truth", truth_of), ("trimaps", trimap_of)) if name not in of]
        if lacking:
            near = did_you_mean(name, truths if "truth" in lacking else trimaps)
            problems.append(f"{prediction} has no partner of its name in {' and '.join(lacking)}.{near}")
            continue
        truth, trimap = truths[truth_of[name]], trimaps[trimap_of[name]]
        cases.append(Case(name, prediction, _reader(truth, read_alpha, trimap, values), truth))
    for kind, files, of in (("truth", truths, truth_of), ("trimaps", trimaps, trimap_of)):
        problems += _without_prediction(kind, set(files) - set(of.values()))
    if not cases:
        raise DataError(
            f"no prediction belongs to a true alpha and a trimap: predictions={cfg.predictions} has "
            f"{some(list(predictions))}, truth={cfg.truth} {some(list(truths))}, trimaps={cfg.trimaps} "
            f"{some(list(trimaps))}; files of one name belong together"
        )
    return cases, problems


def _cases_of_dataset(cfg: DictConfig) -> tuple[list[Case], list[str]]:
    """Match predictions with the test images of a dataset. Raises DataError where none does, or of the dataset."""
    if not isinstance(OmegaConf.to_object(cfg.dataset), MattingDatasetConfig):
        raise ConfigError(f"dataset={cfg.dataset.name} has no alphas: choose a dataset of mattes.")
    data = build_data(cfg.dataset)
    assert isinstance(data, MattingData)
    predictions, cases = find_files("predictions", cfg.predictions), []
    if not predictions.keys() & set(data.test_names):
        predictions = _without_ending(predictions, ENDINGS["predictions"])
    for index, name in enumerate(data.test_names):

        def read(index: int = index) -> tuple[np.ndarray, np.ndarray]:
            case = data.test[index]
            return case.alpha, case.trimap

        if name in predictions:
            cases.append(Case(name, predictions[name], read, Path(f"the true alpha of {name}")))
    known = set(data.test_names)
    problems = [
        f"{path} is none of the test images of {cfg.dataset.name}.{did_you_mean(name, known)}"
        for name, path in predictions.items()
        if name not in known
    ]
    problems += _without_prediction(cfg.dataset.name, known - predictions.keys())
    if not cases:
        raise DataError(
            f"predictions={cfg.predictions} has none of the test images of {cfg.dataset.name}: it has "
            f"{some(list(predictions))}; the test images are {some(list(data.test_names))}"
        )
    return cases, problems


def _without_ending(files: Files, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files that end in the first of `endings` that any has, by name without it; all files if none has."""
    for ending in endings:
        named = {name.removesuffix(ending): path for name, path in files.items() if name.endswith(ending)}
        if named:
            return named
    return dict(files)


def _both_partners(predictions: Files, truth: Files, trimaps: Files) -> tuple[dict[str, str], dict[str, str]]:
    return _partners(predictions, truth), _partners(predictions, trimaps)


def _partners(names: Iterable[str], files: Files) -> dict[str, str]:
    """Return the name of each partner: its own, or else that of its foreground, as in Composition-1k.

    Raises:
        DataError: one file is the partner of a picture of its own name and of <name>_<k>.
    """
    own = {name: name for name in names if name in files}
    others = {name: foreground_of(name) for name in names if name not in files and foreground_of(name) in files}
    if both := sorted(set(own.values()) & set(others.values())):
        shared = next(name for name, foreground in others.items() if foreground == both[0])
        raise DataError(
            f"{files[both[0]]} could belong to {both[0]} and, by Composition-1k's names, to {shared}: rename one, or "
            "give dataset=adobe"
        )
    return own | others


def _without_prediction(where: str, names: Iterable[str]) -> list[str]:
    """Return a sentence that names what has no prediction, if anything."""
    lacking = sorted(names)
    return [f"{len(lacking)} of {where} without a prediction: {some(lacking)}."] if lacking else []


def _reader(
    truth: Path, read_alpha: Callable[[Path], np.ndarray], trimap: Path, values: TrimapValues
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def read() -> tuple[np.ndarray, np.ndarray]:
        images = read_alpha(truth), read_trimap(trimap, values)
        check_sizes({truth: images[0].shape, trimap: images[1].shape})
        return images

    return read
