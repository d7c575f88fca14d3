"""Write the page."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from a2u.errors import A2UError
from a2u.files import user_path
from a2u.reproduce.html_report.gather import committed, own
from a2u.reproduce.html_report.pictures import galleries
from a2u.reproduce.html_report.study import study_sections
from a2u.reproduce.html_report.tables import sections
from a2u.reproduce.table import RESULTS, write
from a2u.settings import field, schema


class ReportSource(Enum):
    """Whose results a report shows: the committed ones of results/, or those of one's own runs."""

    results = 1
    outputs = 2


@schema("report")
@dataclass
class ReportConfig:
    """configs/report.yaml: every table's results on one page."""

    source: ReportSource = field(ReportSource.results)
    outputs: str = field("outputs", "folder of runs and figures")
    folder: str | None = field(None, "where index.html goes; null: <outputs>/report")


class ReportError(A2UError):
    """There is nothing to report."""


def make_page(settings: ReportConfig) -> Path:
    """Write <folder>/index.html from finished results and the figures under `outputs`; return its path.

    Raises:
        ReportError: there are no results.
        PictureError: pictures of the figures are damaged.
    """
    outputs = user_path(settings.outputs)
    is_own = settings.source is ReportSource.outputs
    found, left_out = own(outputs) if is_own else (committed(RESULTS), [])
    if not found:
        others = f"; {len(left_out)} of other configurations are there, which no table shows" if left_out else ""
        raise ReportError(
            f"no finished result of a table was found under {outputs if is_own else RESULTS}{others}: run one first, "
            "such as `make table2`, or name another folder with outputs=DIR."
        )
    path = (user_path(settings.folder) if settings.folder else outputs / "report") / "index.html"
    shown = [*sections(found), *([] if is_own else study_sections(RESULTS))]
    content = {"sections": shown, "galleries": galleries(outputs / "figures"), "left_out": left_out}
    write(path, _template().render(own=is_own, **content))
    return path


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("a2u.reproduce.html_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
