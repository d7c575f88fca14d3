"""Render the committed results from their JSON files, and fill the marked sections of the documentation."""

import json
import re
from pathlib import Path

from a2u.engine.identity import read_result
from a2u.engine.provenance import REPOSITORY
from a2u.files import replacing
from a2u.reproduce.changes import conclusion, without_content
from a2u.reproduce.curves import draw_curves
from a2u.reproduce.differences import differences_page
from a2u.reproduce.health import health_table
from a2u.reproduce.published import listed, named_rows, published, quoted_rows, rows_of
from a2u.reproduce.render import Group, Results, ablation_table, ranks_table, results_table, shipped_table, short_table

RESULTS = REPOSITORY / "results"
# Tables and sentences in the documentation that have no file in results/
SHOWN_ALONE = ("short.md", "printed.md", "health.md", "content.md")
ABLATION = "ablation"  # folder of a table's results without content
SHIPPED = ("a2u", "closed_form", "knn")  # rows of the table of the model in the package, in its order


def committed(root: Path) -> dict[Group, Results]:
    """Return the results under `root`, in the paper's order of tables and rows; each row was run as its config says.

    Files that are not results, and rows that a table does not have, are skipped. A row of one's own, which
    published.yaml does not list, is shown once it has a result. "ablation" of a result is what `make ablate` measured,
    or None.
    """
    found: dict[Group, Results] = {}
    for path in sorted([*root.glob("*/*/*/*/seed*.json"), *root.glob("*/*/*/on_*/*/seed*.json")]):
        table, dataset, scale, *test, row = path.parent.relative_to(root).parts
        run = read_result(path) if table in published() and row in [*rows_of(table), *named_rows(table)] else None
        if run is not None:
            group = Group(table, dataset, scale, "".join(test).removeprefix("on_"))
            run["ablation"] = read_result(group.folder(root) / ABLATION / row / path.name)
            lines = [line for line in listed(table) if not (group.test and line in quoted_rows(table))]
            found.setdefault(group, {line: [] for line in lines}).setdefault(row, []).append(run)
    return found


def sections() -> dict[str, str]:
    """Return every rendered text that pages show, by its file in the repository (of those SHOWN_ALONE, a name only)."""
    found = {}
    for group, results in committed(RESULTS).items():
        folder = group.folder(Path("results")).as_posix()
        found[f"{folder}/table.md"] = results_table(group, results).markdown()
        found[f"{folder}/short.md"] = short_table(group, results).markdown()
        found[f"{folder}/differences.md"] = differences_page(group, results)[1]
        if changes := without_content(group.table, results):
            records = {row: [run["ablation"] for run in of_row if run["ablation"]] for row, of_row in results.items()}
            records = {row: of_row for row, of_row in records.items() if of_row}
            found[f"{folder}/{ABLATION}.md"] = ablation_table(group, records).markdown()
            said = conclusion(group.table, changes)
            found[f"{folder}/content.md"] = f"{group.title}: {said}.\n"
        if health := health_table(group, results):
            found[f"{folder}/health.md"] = health.markdown()
        if printed := ranks_table(group.table):
            found[f"results/{group.table}/printed.md"] = printed.markdown()
    for name in ("shipped", "validation"):
        if files := [path for row in SHIPPED if (path := RESULTS / name / f"{row}.json").is_file()]:
            rows = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}
            found[f"results/{name}/table.md"] = shipped_table(rows).markdown()
    return {name: text for name, text in found.items() if text}


def pages() -> dict[Path, str]:
    """Return the contents of all pages that show results: the tables next to them, README.md and docs/.

    In the documentation, the text between <!-- results/NAME.md --> and <!-- end --> is the file of that name, rendered
    here or committed.
    """
    texts = sections()
    found = {REPOSITORY / name: text for name, text in texts.items() if not name.endswith(SHOWN_ALONE)}
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            for marker in re.findall(r"<!-- (results/\S+\.md) -->", text):
                file = REPOSITORY / marker
                committed_text = file.read_text(encoding="utf-8") if file.is_file() else ""
                if content := texts.get(marker, committed_text):
                    text = with_section(text, marker, content)
            found[page] = text
    return found


def make_pages() -> None:
    """Write every page, and the learning curves; remove differences.md if there is nothing to compare."""
    wanted = pages()
    for path in set(RESULTS.rglob("differences.md")) - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write(path, text)
    for group, results in committed(RESULTS).items():
        draw_curves(group, results, group.folder(RESULTS) / "curves.svg")


def with_section(page: str, marker: str, content: str) -> str:
    """Return `page` with the text between <!-- marker --> and <!-- end --> replaced; unchanged without the marker."""
    pattern = rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}{found[2]}", page, flags=re.DOTALL)


def write_or_remove(path: Path, text: str) -> None:
    """Write `text`; if it is empty, remove the file of earlier results."""
    if text:
        write(path, text)
    else:
        path.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
