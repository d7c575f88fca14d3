"""`make bench`: measure every part, print the table, save it as JSON with its provenance."""

import datetime
import importlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from a2u.engine.provenance import REPOSITORY, commit, machine, versions
from a2u.errors import A2UError, ConfigError, did_you_mean
from a2u.files import write_json
from a2u.reproduce.gallery import gallery
from a2u.reproduce.pages import with_section, write
from a2u.reproduce.tables import Table
from a2u.settings import field, schema
from scripts.bench.measure import Line

PARTS = ("startup", "reassembly", "metrics", "samples", "network", "training", "tiles")  # modules of scripts.bench
OF_A_GPU = ("gpu",)  # measured where asked for, as these:
OPERATORS = ("operators",)
HEADER = ("part", "what", "ours", "plain", "ratio", "target", "met", "work", "of ceiling")


@schema("bench")
@dataclass
class BenchConfig:
    """configs/bench.yaml: time and memory of every part, next to a plain formulation."""

    parts: list[str] = field([], "modules of scripts/bench; empty: all but gpu and operators")
    name: str = field("cpu", "of the file with the measurements: one per kind of machine")
    outputs: str = field("outputs")
    publish: bool = field(False, "copy the latest measurements to results/bench instead")


class BenchError(A2UError):
    """The measurements may not be published."""


def bench(settings: BenchConfig) -> int:
    """Measure the parts in `settings`; or, with settings.publish, copy the latest measurements to results/bench.

    Returns 0, or 1 where a target was missed.

    Raises:
        ConfigError: there is no such part.
        BenchError: nothing to publish, a part only, or measured with uncommitted changes.
    """
    path = Path(settings.outputs) / "bench" / f"{settings.name}.json"
    if settings.publish:
        return _publish(path)
    allowed = PARTS + OF_A_GPU + OPERATORS
    unknown = sorted(set(settings.parts) - set(allowed))
    if unknown:
        suggestion = did_you_mean(unknown[0], allowed)
        raise ConfigError(f"parts holds {', '.join(unknown)}; there are: {', '.join(allowed)}.{suggestion}")
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    code = commit()
    lines: list[Line] = []
    for part in tqdm(settings.parts or PARTS, unit="part", disable=None, dynamic_ncols=True):
        tqdm.write(f"measuring {part} ...", file=sys.stderr)
        for line in measured(part):
            lines.append(line)
            tqdm.write(f"  {_sentence(line)}", file=sys.stderr)
    result = {
        "parts": settings.parts or list(PARTS),
        "lines": [asdict(line) | {"ratio": line.ratio, "met": line.met} for line in lines],
        "provenance": {
            "commit": code[0],
            "dirty": code[1],
            "started": started,
            "threads": torch.get_num_threads(),
            "machine": machine(),
            "versions": versions(),
        },
    }
    write_json(path, result)
    print(table(lines))
    return 1 if any(line.met is False for line in lines) else 0


def measured(part: str) -> list[Line]:
    """Return the lines of a part, measured in a new process, since the allocator's state affects peaks."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_lines, part).result()


def _lines(part: str) -> list[Line]:
    return list(importlib.import_module(f"scripts.bench.{part}").lines())


def table(lines: Sequence[Line]) -> str:
    """Return all lines as aligned text."""
    return Table.of_texts(HEADER, [_cells(line) for line in lines]).text()


def markdown(result: dict[str, Any]) -> str:
    """Return the table of published measurements, and a sentence on their provenance."""
    names = {entry.name for entry in fields(Line)}
    lines = [Line(**{key: value for key, value in line.items() if key in names}) for line in result["lines"]]
    came = result["provenance"]
    gpu = f"{came['machine']['gpu']}, " if OF_A_GPU[0] in result["parts"] else ""
    where = f"{gpu}{came['machine']['cpu']}, {came['machine']['cores']} cores, PyTorch {came['versions']['torch']}"
    source = f"commit {came['commit'][:7]}, {came['started'][:10]}"
    return f"{Table.of_texts(HEADER, [_cells(line) for line in lines]).markdown()}\n{where}; {source}.\n"


def _cells(line: Line) -> list[str]:
    met = {None: "", True: "yes", False: "NO"}[line.met]
    ratio = "" if line.ratio is None else f"{line.ratio:.1f}x"
    if line.target is None:
        target = ""
    else:
        target = _value(line.target, line.unit) if line.ratio is None else f"{line.target:g}x"
    plain = "" if line.reference is None else _value(line.reference, line.unit)
    ceiling = "" if line.ceiling is None else f"{line.ceiling:.0%}"
    return [line.group, line.what, _value(line.ours, line.unit), plain, ratio, target, met, line.work, ceiling]


def _sentence(line: Line) -> str:
    _, what, ours, plain, ratio, *_ = _cells(line)
    return f"{what}: {ours}" + (f" against {plain}, {ratio}" if plain else "")


def _value(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def _publish(path: Path) -> int:
    if not path.is_file():
        raise BenchError(f"there are no measurements {path}; run make bench first.")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    parts = tuple(result["parts"])
    missing = [] if parts in (OF_A_GPU, OPERATORS) else sorted(set(PARTS) - set(parts))
    if missing or result["provenance"]["dirty"]:
        why = f"parts {', '.join(missing)} are missing" if missing else "they were made with uncommitted changes"
        raise BenchError(f"the measurements {path} are not published: {why}; run make bench again.")
    to = REPOSITORY / "results" / "bench" / path.name
    write_json(to, result)
    name, text = ("operators", gallery(result)) if parts == OPERATORS else ("performance", markdown(result))
    page = REPOSITORY / "docs" / f"{name}.md"
    if page.is_file():
        marker = to.relative_to(REPOSITORY).as_posix()
        write(page, with_section(page.read_text(encoding="utf-8"), marker, text))
    print(f"published to {to.relative_to(REPOSITORY)}")
    return 0
