"""Compose a test set from foregrounds, alphas, backgrounds and two lists of names.

In the order of its list, each foreground takes the next K images of the list of backgrounds (20 in Composition-1k and
in Distinctions-646) and gives <foreground>_0 .. <foreground>_<K-1> by the rule in `rule`. Alphas and trimaps are not
copied.

manifest.json next to the composites (see `manifest`) lets an interrupted run continue, and what is damaged or was made
from other files be made again.

Source: Xu et al., "Deep image matting", CVPR 2017: lists and program released with the dataset. The program of
Distinctions-646 has the same rule, but numbers composites and alphas consecutively, <foreground>_0 .. 999.
"""

import hashlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from a2u.data.composition1k.manifest import MANIFEST, Manifest, Record, read_manifest, write_manifest
from a2u.data.composition1k.rule import RULE, composite, cover, read_picture, trimap
from a2u.data.files.folders import (
    check_together,
    contents,
    file_sha256,
    find_images,
    first_folder,
    matching_folders,
    missing_folder,
    read_names,
    require,
    some,
)
from a2u.data.files.images import read_grey, read_header, write_png
from a2u.data.files.layout import Layout
from a2u.data.sources.adobe import AdobeConfig
from a2u.data.sources.distinctions646 import Distinctions646Config
from a2u.errors import DataError
from a2u.files import locked, reason

LAYOUTS = (AdobeConfig.layout, Distinctions646Config.layout)
MANIFEST_SECONDS = 1.0  # between two writes of the manifest, so at most this much work of a killed run is repeated


class Case(NamedTuple):
    """One composite to make."""

    name: str
    foreground: Path
    alpha: Path
    background: Path


class Plan(NamedTuple):
    """What to make, and the folders for it; `largest`: erosion of trimaps, see `rule.trimap`; None: no trimaps."""

    cases: list[Case]
    merged: Path
    trimaps: Path
    largest: int | None


class Made(NamedTuple):
    """Numbers of composites made (or their trimaps) and kept, and the checksum of all composites' pixels."""

    made: int
    kept: int
    pixels_sha256: str


def plan(
    root: Path,
    *,
    foregrounds: Path | None = None,
    alphas: Path | None = None,
    backgrounds: Path | None = None,
    foreground_list: Path | None = None,
    background_list: Path | None = None,
    merged: Path | None = None,
    per_foreground: int | None = None,
    trimaps: int | None = None,
) -> Plan:
    """Find the sources of a test set, and check lists, names and sizes before anything is made.

    Args:
        root: folder of Adobe's dataset or of Distinctions-646; what is not given below is searched for in it.
        foregrounds, alphas, backgrounds: folders of images, matched by name without suffix, .jpg or .png.
        foreground_list, background_list: text files with one name per line.
        merged: folder for the composites.
        per_foreground: backgrounds per foreground; None: the whole list, shared equally.
        trimaps: largest erosion of trimaps (see `rule.trimap`), which go to `trimaps` next to `merged`; None: none,
            but those made earlier are kept up to date.

    Raises:
        DataError: a folder, a list or a file is missing, or they do not match.
    """
    layout = _layout(root)
    test = root / layout.test
    if trimaps is not None and trimaps < 1:
        raise DataError(f"trimaps is {trimaps}: give at least 1 pixel, such as 29 as in training")
    foreground_list = foreground_list or _first_file(test, layout.foreground_list, "foreground_list=FILE")
    background_list = background_list or _first_file(test, layout.background_list, "background_list=FILE")
    foregrounds = foregrounds or first_folder(test, layout.foregrounds)
    alphas = alphas or first_folder(test, layout.alphas)
    backgrounds = backgrounds or first_folder(test, layout.test_backgrounds)

    names, background_names = read_names(foreground_list), read_names(background_list, repeats=True)
    each = _per_foreground(
        per_foreground,
        len(names),
        len(background_names),
        f"{background_list} names {len(background_names)} background(s), {foreground_list} {len(names)} foreground(s)",
    )
    background_names = background_names[: each * len(names)]
    found = find_images(foregrounds, otherwise="name the folder of the foregrounds with foregrounds=DIR")
    found_alphas = find_images(alphas, otherwise="name the folder of the alphas with alphas=DIR")
    pictures = find_images(backgrounds, otherwise="name the pictures of Pascal VOC with backgrounds=DIR")
    require(names, found, foregrounds, f"the list {foreground_list}")
    require(names, found_alphas, alphas, f"the list {foreground_list}")
    require(dict.fromkeys(background_names), pictures, backgrounds, f"the list {background_list}")
    for name in names:
        check_together({path: read_header(path) for path in (found[name], found_alphas[name])})

    cases = [
        Case(f"{name}_{k}", found[name], found_alphas[name], pictures[background_names[index * each + k]])
        for index, name in enumerate(names)
        for k in range(each)
    ]
    merged = merged or test / layout.merged[0]
    manifest = read_manifest(merged)
    largest = manifest["trimaps"] if manifest and trimaps is None else trimaps
    result = Plan(cases, merged, merged.parent / layout.trimaps[0], largest)
    _refuse_foreign_files(result, layout, manifest)
    return result


def make(plan: Plan, jobs: int = 1) -> Made:
    """Make what a plan still lacks, in `jobs` processes; every file appears whole or not at all.

    Raises:
        DataError: a file cannot be read or written.
        BusyError: another process is composing into the same folder.
    """
    try:
        with locked(plan.merged / ".lock", "compose"):
            for partial in plan.merged.glob(".*.png.*"):  # left behind by a killed run
                partial.unlink()
            return _make(plan, jobs)
    except OSError as error:
        raise DataError(f"{error.filename or plan.merged} cannot be written: {reason(error)}") from error


def _make(plan: Plan, jobs: int) -> Made:
    manifest = read_manifest(plan.merged)
    known = manifest["images"] if manifest and manifest["rule"] == RULE else {}
    records = {case.name: known[case.name] for case in plan.cases if case.name in known}
    # Written first, so that a later run recognises the composites of an interrupted one.
    write_manifest(plan.merged, records, plan.largest, finished=False)
    work = [(plan, case, records.get(case.name)) for case in plan.cases]
    made, written = 0, time.monotonic()
    try:
        with tqdm(total=len(work), unit="image", dynamic_ncols=True, disable=not sys.stderr.isatty()) as bar:
            for name, record, is_new in _finished(work, jobs):
                made += is_new
                records[name] = record
                if time.monotonic() - written > MANIFEST_SECONDS:
                    write_manifest(plan.merged, records, plan.largest, finished=False)
                    written = time.monotonic()
                bar.update()
    finally:
        write_manifest(plan.merged, records, plan.largest, finished=False)
    return Made(made, len(work) - made, write_manifest(plan.merged, records, plan.largest, finished=True))


def _finished(work: list[tuple[Plan, Case, Record | None]], jobs: int) -> Iterator[tuple[str, Record, bool]]:
    """Yield what `_ensure` returns for each composite, as they finish."""
    if jobs == 1:
        for each in work:
            yield _ensure(*each)
        return
    # Not forked: the child of a process in which OpenCV or PyTorch has started threads can deadlock. The fork server
    # has no threads, and imports this module once for all workers.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(min(jobs, len(work)), context, _start_worker)
    try:
        for future in as_completed([pool.submit(_ensure, *each) for each in work]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was killed, as happens when memory runs out: "
            f"continue with the same command and jobs less than {jobs}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    cv2.setNumThreads(1)


def _ensure(plan: Plan, case: Case, record: Record | None) -> tuple[str, Record, bool]:
    """Make a composite and its trimap unless `record` and the files show that they were made from the same sources.

    Returns:
        Its name, its record, and whether anything was made.
    """
    file, trimap_file = plan.merged / f"{case.name}.png", plan.trimaps / f"{case.name}.png"
    sources: Record = {
        "foreground": {"file": case.foreground.name, "sha256": file_sha256(case.foreground)},
        "alpha": {"file": case.alpha.name, "sha256": file_sha256(case.alpha)},
        "background": {"file": case.background.name, "sha256": file_sha256(case.background)},
    }
    is_new = False
    if record is None or record != record | sources or not _intact(file, record["sha256"]):
        record, is_new = sources | _compose(case, file), True
    if plan.largest is not None and not (
        record.get("trimap_largest") == plan.largest and _intact(trimap_file, record["trimap_sha256"])
    ):
        write_png(trimap_file, trimap(case.name, read_grey(case.alpha), plan.largest))
        record = record | {"trimap_largest": plan.largest, "trimap_sha256": file_sha256(trimap_file)}
        is_new = True
    return case.name, record, is_new


def _compose(case: Case, file: Path) -> Record:
    foreground, alpha = np.asarray(read_picture(case.foreground)), read_grey(case.alpha)
    height, width = alpha.shape
    image = composite(foreground, alpha, cover(read_picture(case.background), height, width))
    write_png(file, image)
    pixels = hashlib.sha256(image.tobytes()).hexdigest()
    return {"width": width, "height": height, "sha256": file_sha256(file), "pixels_sha256": pixels}


def _intact(file: Path, sha256: str) -> bool:
    return file.is_file() and file_sha256(file) == sha256


def _layout(root: Path) -> Layout:
    for layout in LAYOUTS:
        if (root / layout.test).is_dir():
            return layout
    if not root.is_dir():
        raise DataError(missing_folder(root))
    tests = " nor ".join(layout.test for layout in LAYOUTS)
    raise DataError(
        f"{root} has neither {tests}; it holds {contents(root)}: give the folder of Adobe's dataset or of "
        "Distinctions-646"
    )


def _first_file(folder: Path, names: Sequence[str], option: str) -> Path:
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise DataError(
            f"{folder} has neither {' nor '.join(names)}, a list of names; it holds {contents(folder)}: "
            f"put the released list there, or name it with {option}"
        )
    return files[0]


def _per_foreground(given: int | None, foregrounds: int, backgrounds: int, found: str) -> int:
    """Return the backgrounds per foreground; `found` describes how many names there are, for messages."""
    if given is None:
        each, rest = divmod(backgrounds, foregrounds)
        if rest or not each:
            raise DataError(
                f"{found}, but every foreground takes the same number of backgrounds: complete the lists, "
                "or give per_foreground to leave out the last backgrounds"
            )
        return each
    if given < 1 or given * foregrounds > backgrounds:
        raise DataError(f"{found}: per_foreground is {given}; give 1 to {backgrounds // foregrounds}")
    return given


def _refuse_foreign_files(plan: Plan, layout: Layout, manifest: Manifest | None) -> None:
    """Raise DataError for images that this program did not make: they are never replaced, but would be evaluated."""
    ours, images = {case.name for case in plan.cases}, _pictures(plan.merged)
    if images and manifest is None:
        raise DataError(
            f"{plan.merged} holds {len(images)} image(s) and no {MANIFEST}, so this program did not make them: "
            "move them, or name another folder with merged=DIR"
        )
    others = sorted(images - ours)
    if others:
        raise DataError(f"{plan.merged} holds images that the lists do not name, {some(others)}: remove them")
    folder = first_folder(plan.merged.parent, layout.trimaps)
    others = sorted(_pictures(folder) - (ours if manifest and manifest["trimaps"] else set()))
    if plan.largest is not None and others:
        raise DataError(
            f"{folder} holds trimaps that this program did not make, {some(others)}: use them and leave "
            "trimaps=29 out, or move them"
        )


def _pictures(folder: Path) -> set[str]:
    """Return the names of the PNG files in a folder; none if it does not exist."""
    paths = (path for place in matching_folders(folder) for path in place.glob("*.png"))
    return {path.stem for path in paths if not path.name.startswith(".")}
