"""Scripts as they are typed, up to the work itself."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WORK = {  # what each script calls once it has read its command line
    "train": "a2u.engine.run.run",
    "table": "a2u.reproduce.table.make_table",
    "figures": "a2u.reproduce.figures.make_figures",
    "evaluate": "a2u.apply.evaluate_weights.evaluate_weights",
    "predict": "a2u.apply.predict.predict_photographs",
    "measure": "a2u.apply.measure.measure",
    "export": "a2u.apply.export.export",
    "report": "a2u.reproduce.html_report.make.make_page",
    "shipped": "a2u.reproduce.shipped.make",
    "pages": "a2u.reproduce.pages.make_pages",
    "bench": "scripts.bench.report.bench",
}


def script_file(name: str) -> Path:
    """The file of a script: "train", or "bench", which is a package."""
    folder = ROOT / "scripts" / name
    return folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")


class Understood(BaseException):
    """A script has read its command line, and would begin."""


def asked_of(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """What a script hands to its work."""
    given: list[tuple[Any, ...]] = []

    def work(*arguments: Any) -> None:
        given.append(arguments)
        raise Understood

    with monkeypatch.context() as patch:
        patch.setattr(WORK[name], work)
        if name == "table":
            for other in ("table.publish", "ablation.ablate_table", "ablation.publish_ablation"):
                patch.setattr(f"a2u.reproduce.{other}", work)
        patch.setattr(sys, "argv", [str(script_file(name)), *words])
        with pytest.raises(Understood):
            runpy.run_path(sys.argv[0], run_name="__main__")
    return given[0]
