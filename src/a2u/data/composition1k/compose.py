"""Makes the composites of a test set from foregrounds, alphas, backgrounds and two lists of names.

Foregrounds come in the order of their list. Each takes the next K pictures of the list of backgrounds (20 in
Composition-1k and in Distinctions-646) and gives <foreground>_0 .. <foreground>_<K-1>; `composition_rule` says how.
Nothing else is copied: alphas and trimaps are evaluated where they lie.

Beside the composites stands manifest.json, see `manifest`. With its help an interrupted run goes on, and what is
damaged or was made from other files is made again.

Source: Xu et al., "Deep image matting", CVPR 2017: lists and program released with the dataset. The program of
Distinctions-646 has the same rule, but numbers its composites throughout, <foreground>_0 .. 999, alphas likewise.
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
    missing_folder,
    places,
    read_names,
    require,
    some,
)
from a2u.data.files.images import read_grey, read_header, write_png
from a2u.data.files.layout import Layout
from a2u.data.sources import adobe, distinctions646
from a2u.errors import DataError
from a2u.files import locked, reason

LAYOUTS = (adobe.LAYOUT, distinctions646.LAYOUT)
MANIFEST_SECONDS = 1.0  # between writings of the manifest: what a killed run makes again at most


class Case(NamedTuple):
    """One composite to make."""

    name: str
    foreground: Path
    alpha: Path
    background: Path


class Plan(NamedTuple):
    """What to make, and the folders it goes to; trimaps only where `largest` is a number, see `trimap`."""

    cases: list[Case]
    merged: Path
    trimaps: Path
    largest: int | None


class Made(NamedTuple):
    """How many composites (or their trimaps) were made, how many kept, and the checksum of all composites' pixels."""

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
    """Find the sources of a test set; lists, names and sizes are checked here, before anything is made.

    Args:
        root: folder of Adobe's dataset or of Distinctions-646, from which all that is not given follows.
        foregrounds, alphas, backgrounds: folders of images, matched by name without suffix, .jpg or .png.
        foreground_list, background_list: text files with one name a line.
        merged: folder for the composites.
        per_foreground: backgrounds for each foreground; None: all of the list, shared out evenly.
        trimaps: largest erosion of trimaps to be made too, see `trimap`; they go into `trimaps` beside `merged`.
            Once made they stay up to date, whether asked for or not.

    Raises:
        DataError: a folder, a list or a file is missing, or they do not go together.
    """
    layout = _layout(root)
    test = root / layout.test
    if trimaps is not None and trimaps < 1:
        raise DataError(f"trimaps of width {trimaps} cannot be: give at least 1 pixel, such as 29 as in training")
    foreground_list = foreground_list or _first_file(test, layout.foreground_list, "--fg-names")
    background_list = background_list or _first_file(test, layout.background_list, "--bg-names")
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
    found = find_images(foregrounds, otherwise="name the folder of the foregrounds with --fg")
    found_alphas = find_images(alphas, otherwise="name the folder of the alphas with --alpha")
    pictures = find_images(backgrounds, otherwise="name the folder of the backgrounds (Pascal VOC) with --bg")
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
    _refuse_others_work(result, layout, manifest)
    return result


def make(plan: Plan, jobs: int = 1) -> Made:
    """Make what a plan still lacks, in `jobs` processes; every file appears whole or not at all.

    Raises DataError for a file that cannot be read or written, BusyError where the same is being made already.
    """
    try:
        with locked(plan.merged / ".lock", "compose"):
            for rest in plan.merged.glob(".*.png.*"):  # what a killed run left of a file
                rest.unlink()
            return _make(plan, jobs)
    except OSError as error:
        raise DataError(f"{error.filename or plan.merged} cannot be written: {reason(error)}") from error


def _make(plan: Plan, jobs: int) -> Made:
    manifest = read_manifest(plan.merged)
    known = manifest["images"] if manifest and manifest["rule"] == RULE else {}
    records = {case.name: known[case.name] for case in plan.cases if case.name in known}
    # First of all, so that the next run knows an interrupted one's pictures.
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
    """What `_ensure` returns for every composite, as they are finished."""
    if jobs == 1:
        for each in work:
            yield _ensure(*each)
        return
    # Not forked: a child of a process in which OpenCV or PyTorch has started threads can wait for them for ever.
    context = get_context("forkserver")  # whose server has none, and imports this module once for all workers
    context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(min(jobs, len(work)), context, _start_worker)
    try:
        for future in as_completed([pool.submit(_ensure, *each) for each in work]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that made composites was killed, as happens where memory runs out; the same command goes on: "
            f"give --jobs less than {jobs}"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    cv2.setNumThreads(1)


def _ensure(plan: Plan, case: Case, record: Record | None) -> tuple[str, Record, bool]:
    """Make a composite and its trimap where `record` does not say that they are there: made from these very files.

    Returns its name, its record, and whether anything was made.
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
    """Backgrounds for each foreground; `found` says in words how many there are."""
    if given is None:
        each, rest = divmod(backgrounds, foregrounds)
        if rest or not each:
            raise DataError(
                f"{found}: every foreground takes the same number of backgrounds; complete the lists, "
                "or give --per-foreground to leave the last backgrounds out"
            )
        return each
    if given < 1 or given * foregrounds > backgrounds:
        raise DataError(f"{found}: {given} for each foreground cannot be; give 1 to {backgrounds // foregrounds}")
    return given


def _refuse_others_work(plan: Plan, layout: Layout, manifest: Manifest | None) -> None:
    """Pictures that this program did not make are never replaced, and would be evaluated with its own."""
    ours, images = {case.name for case in plan.cases}, _pictures(plan.merged)
    if images and manifest is None:
        raise DataError(
            f"{plan.merged} holds {len(images)} picture(s) and no {MANIFEST}, so this program did not make them: "
            "move them away, or name another folder with --out"
        )
    others = sorted(images - ours)
    if others:
        raise DataError(f"{plan.merged} holds pictures that the lists do not give, {some(others)}: take them away")
    folder = first_folder(plan.merged.parent, layout.trimaps)
    others = sorted(_pictures(folder) - (ours if manifest and manifest["trimaps"] else set()))
    if plan.largest is not None and others:
        raise DataError(
            f"{folder} holds trimaps that this program did not make, {some(others)}: use those and leave --trimaps "
            "out, or move them away"
        )


def _pictures(folder: Path) -> set[str]:
    """Names of the PNG files of a folder, which need not be there."""
    return {path.stem for place in places(folder) for path in place.glob("*.png") if not path.name.startswith(".")}
