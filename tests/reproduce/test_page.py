"""The page of make report: its numbers are the results', and it works with pointer, keyboard and phone."""

import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from helpers.browser import chromium, requests, resize

from a2u.config import compose
from a2u.engine.identity import identity
from a2u.reproduce.figures.sheet import INDEX, Cell, Sheet, save_pictures
from a2u.reproduce.html_report import make, make_page
from a2u.reproduce.html_report.make import ReportConfig, ReportError, ReportSource
from a2u.reproduce.html_report.pictures import PictureError
from a2u.reproduce.html_report.records import record
from a2u.reproduce.pages import RESULTS, committed
from a2u.reproduce.published import lines_of
from a2u.reproduce.render import Group
from a2u.settings import plain

ROOT = RESULTS.parent
SOME = ("table1/mnist", "table3/synthetic", "table6/synthetic")
SYSTEMS = ("KNN", "baseline (nearest)", "ours (A2U)")


def plain_sheet():
    """Two images with two mattes each, all of one grey level that tells them apart."""
    titles = ["image", "trimap", *SYSTEMS, "ground truth"]
    rows = [
        [Cell(np.full((40, 60), 20 * (column + 1) + row, np.uint8), f"case{row}") for column in range(len(titles))]
        for row in range(2)
    ]
    return Sheet(titles, rows, 60, "")


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """A folder with the committed results of three tables, and the pictures of one figure."""
    outputs = tmp_path_factory.mktemp("page") / "out puts"
    for folder in SOME:
        shutil.copytree(RESULTS / folder, outputs / folder)
    figure = outputs / "figures" / "synthetic" / "lite" / "fig4"
    save_pictures(plain_sheet(), figure)
    figure.with_suffix(".txt").write_text("Test images <chosen> by & rule.\nKNN: run 01234567, commit 89abcdef\n")
    return outputs


@pytest.fixture(scope="module")
def page(some):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "RESULTS", some)
        path = make_page(ReportConfig(outputs=str(some)))
    assert path == some / "report" / "index.html"
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    return path


# What the page says


class Cells(HTMLParser):
    """The tables of a page by name: texts of the cells of their bodies, row by row."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.inside, self.name = {}, False, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("class") == "scroll":
            self.name = given["aria-label"]
            self.tables[self.name] = []
        if self.name and tag == "tr":
            self.tables[self.name].append([])
        self.inside = self.name is not None and (self.inside or tag in ("th", "td"))
        if self.inside and tag in ("th", "td"):
            self.tables[self.name][-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("th", "td")
        self.name = None if tag == "table" else self.name

    def handle_data(self, data):
        if self.inside:
            self.tables[self.name][-1][-1] += data


def spoken(text):
    return " ".join(text.split())


@pytest.mark.parametrize("folder", ["table1/mnist", "table3/synthetic"])
def test_the_page_has_every_cell_of_the_committed_table_and_its_words(page, folder):
    """Against table.md, which other tests hold against the results."""
    markdown, text = (RESULTS / folder / "lite" / "table.md").read_text(), page.read_text()
    table, dataset = folder.split("/")
    shown = Cells(text).tables[f"{table.replace('table', 'Table ')} on {dataset}, scale lite"]
    lines = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    expected = [[spoken(cell) for cell in line] for line in (lines[0], *lines[2:])]
    assert [[spoken(cell) for cell in row[: len(expected[0])]] for row in shown] == expected
    assert markdown.splitlines()[-1] in html.unescape(text)
    assert len(shown[0]) > len(expected[0])  # the cost


def test_cost_stands_in_every_row_that_was_run(page):
    shown = Cells(page.read_text()).tables["Table 3 on synthetic, scale lite"]
    rows = {row[0]: dict(zip(map(spoken, shown[0]), map(spoken, row), strict=True)) for row in shown[1:]}
    runs = [json.loads(path.read_text()) for path in (RESULTS / "table3/synthetic/lite/a2u_hybrid_cw_k3").iterdir()]
    seconds = np.mean([run["provenance"]["wall_seconds"] for run in runs])
    rate = np.mean([run["provenance"]["samples_per_second"] for run in runs])
    assert float(rows["a2u_hybrid_cw_k3"]["wall seconds"]) == pytest.approx(seconds, abs=0.5)
    assert float(rows["a2u_hybrid_cw_k3"]["samples/s"]) == pytest.approx(rate, abs=0.5)


def test_every_seed_s_provenance_is_on_the_page(page):
    text = html.unescape(page.read_text())
    for path in (path for folder in SOME for path in (RESULTS / folder).rglob("seed*.json")):
        provenance = json.loads(path.read_text())["provenance"]
        for said in (provenance["commit"], provenance["data_sha256"], " ".join(provenance["command"])):
            assert said in text
        assert path.relative_to(RESULTS).as_posix() in text


def test_configurations_of_seeds_stand_once_where_they_differ_in_the_seed_alone():
    folder = RESULTS / "table3/synthetic/lite/a2u_hybrid_cw_k5"
    runs = [{"path": "", **json.loads((folder / f"seed{seed}.json").read_text())} for seed in range(3)]
    of = Group("table3", "synthetic", "lite"), "a2u_hybrid_cw_k5"
    assert record(*of, runs).config.count("crop: 64") == 1
    assert record(*of, runs).config.startswith("# seed 0, 1, 2\n")
    runs[1]["config"]["sample"]["crop"] = 96
    _, *parts = re.split("^# seed ", record(*of, runs).config, flags=re.MULTILINE)
    assert [(part.splitlines()[0], "crop: 64" in part) for part in parts] == [("0, 2", True), ("1", False)]


def test_every_test_set_of_table_6_has_records_of_its_own(page):
    for test in ("alphamatting", "alphamatting_trimap2"):
        name = f'aria-label="Table 6 on {test}, trained on synthetic, scale lite"'
        table = page.read_text().split(name)[1].split("</table>")[0]
        rows = re.findall(r"<tr><th scope=\"row\".*?</tr>", table, re.DOTALL)
        opened = [re.findall(r'popovertarget="table6-synthetic-lite-(\w+)-[a-z_]+?"', row) for row in rows]
        assert len(opened) == 4
        assert all(len(each) == 4 for each in opened)
    assert 'aria-label="Table 6 as printed"' in page.read_text()


def test_captions_and_names_cannot_become_markup(page):
    assert "&lt;chosen&gt; by &amp; rule" in page.read_text()
    assert "<chosen>" not in page.read_text()


def test_pictures_have_the_caption_of_their_figure(page):
    assert "KNN: run 01234567, commit 89abcdef" in page.read_text()


def test_without_pictures_a_sentence_says_what_makes_them(tmp_path, monkeypatch):
    shutil.copytree(RESULTS / "table3", tmp_path / "table3")
    monkeypatch.setattr(make, "RESULTS", tmp_path)
    text = make_page(ReportConfig(outputs=str(tmp_path))).read_text()
    assert "Results have no pictures. <code>make figures</code>" in text


# What it is made of


def put(root, place, *overrides, **changed):
    """The file of a result of a configuration at smoke scale; what else it says is of a committed one.

    place: under results/, or of one's own runs, which end in a folder of the run.
    """
    cfg = compose([*overrides, "scale=smoke"])
    result = json.loads((RESULTS / "table4/synthetic/lite/a2u_hybrid_cw_softmax/seed0.json").read_text())
    result |= {"hash": identity(cfg), "config": plain(cfg), "seed": cfg.seed, "scale": "smoke"}
    result |= {"table": place.split("/")[0], "row": place.split("/")[3], **changed}
    path = root / f"{place}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return path


def test_files_that_are_no_results_or_of_no_table_are_passed_over(tmp_path):
    path = put(tmp_path, "table4/synthetic/smoke/trimap_only/seed0", "experiment=table4/trimap_only")
    path.with_name("seed1.json").write_text("{")
    for other in ("table9/synthetic/smoke/trimap_only", "table4/synthetic/smoke/mine"):
        (tmp_path / other).mkdir(parents=True)
        shutil.copy(path, tmp_path / other)
    [(group, results)] = committed(tmp_path).items()
    assert group == Group("table4", "synthetic", "smoke")
    assert list(results) == lines_of("table4")
    assert [run["path"] for runs in results.values() for run in runs] == [str(path)]


def test_a_row_of_own_runs_shows_the_seeds_of_its_own_configuration_alone(tmp_path):
    """Runs of `make table4 SEEDS=2`, again with ARGS, and with a user's row; one row ran in Table 2."""

    def ran(place, sad, *overrides, **changed):
        return put(tmp_path, place, *overrides, metrics={"sad": sad, "mse": 0.1, "grad": 1.0, "conn": 1.0}, **changed)

    row, experiment = "table4/synthetic/smoke/a2u_hybrid_cw_softmax", "experiment=table4/a2u_hybrid_cw_softmax"
    for seed in (0, 1):
        ran(f"{row}/seed{seed}-01234567/result", 7.0 + seed, experiment, f"seed={seed}")
    other = ran(f"{row}/seed0-89abcdef/result", 100.0, experiment, "trainer.iterations=3")
    place = "elsewhere/synthetic/smoke/a2u_hybrid_cw/seed0-01234567/result"
    ran(place, 4.0, "experiment=table2/a2u_hybrid_cw", table="table2")
    ran("table4/synthetic/smoke/bilinear/seed0-01234567/result", 5.0, "upsampler=bilinear", "table=table4")

    text = make_page(ReportConfig(source=ReportSource.outputs, outputs=str(tmp_path))).read_text()
    shown = {line[0]: spoken(line[1]) for line in Cells(text).tables["Table 4 on synthetic, scale smoke"][1:]}
    assert list(shown) == [*lines_of("table4"), "bilinear"]
    assert {row: sad for row, sad in shown.items() if sad != "—"} == {
        "a2u_hybrid_cw_softmax": "7.500 ± 0.707",
        "a2u_hybrid_cw_sigmoid_softmax": "4.000",
        "bilinear": "5.000",
    }
    assert "Left out: 1 result of other configurations" in text
    assert f"<li>{other}</li>" in text


def test_nothing_to_report_is_a_sentence(tmp_path):
    nothing = ReportConfig(source=ReportSource.outputs, outputs=str(tmp_path))
    with pytest.raises(ReportError, match=r"no finished result of a table was found under .*make table2"):
        make_page(nothing)
    place = "table4/synthetic/smoke/trimap_only/seed0-01234567/result"
    put(tmp_path, place, "experiment=table4/trimap_only", "dataset.limit_test=1")
    with pytest.raises(ReportError, match=r"; 1 of other configurations are left out: run one"):
        make_page(nothing)


@pytest.mark.parametrize("damage", ["{", '{"titles": ["image"], "rows": [[{"file": "no.png", "note": ""}]]}', "[]"])
def test_damaged_pictures_are_a_sentence(tmp_path, damage, monkeypatch):
    shutil.copytree(RESULTS / "table4", tmp_path / "table4")
    monkeypatch.setattr(make, "RESULTS", tmp_path)
    index = tmp_path / "figures" / "synthetic" / "lite" / "fig4" / INDEX
    index.parent.mkdir(parents=True)
    index.write_text(damage)
    with pytest.raises(PictureError, match=r"fig4.*remove .*make figures"):
        make_page(ReportConfig(outputs=str(tmp_path)))


# How it is used


@pytest.fixture(scope="module")
def window(page, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as window:
        resize(window, 1280, 900)
        window.get("about:blank")
        requests(window)  # of Chromium's own first page
        window.get(page.as_uri())
        yield window


@pytest.fixture
def find(window):
    from selenium.webdriver.common.by import By

    return lambda selector: window.find_element(By.CSS_SELECTOR, selector)


def press(window, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(window).send_keys(*keys).perform()


def shown_records(window):
    return window.execute_script("return [...document.querySelectorAll(':popover-open')].map((each) => each.id)")


TABLE = '[aria-label="Table 3 on synthetic, scale lite"]'


def column_of(window, table, place):
    rows = "document.querySelectorAll(arguments[0] + ' tbody tr')"
    script = f"return [...{rows}].map((row) => row.cells[arguments[1]].innerText)"
    return [cell.split()[0] for cell in window.execute_script(script, table, place)]


def test_a_click_on_a_heading_sorts_up_down_and_back(window, find):
    printed = column_of(window, TABLE, 1)
    heading = find(f"{TABLE} th:nth-child(2)")
    values = sorted(map(float, printed))
    for order, expected in (("ascending", values), ("descending", values[::-1])):
        find(f"{TABLE} th:nth-child(2) button").click()
        assert heading.get_attribute("aria-sort") == order
        assert [float(value) for value in column_of(window, TABLE, 1)] == expected
    find(f"{TABLE} th:first-child button").click()
    assert heading.get_attribute("aria-sort") is None
    assert column_of(window, TABLE, 0) == sorted(column_of(window, TABLE, 0))
    for _ in range(2):
        find(f"{TABLE} th:first-child button").click()
    assert find(f"{TABLE} th:first-child").get_attribute("aria-sort") is None
    assert column_of(window, TABLE, 1) == printed != list(map(str, values))


def test_rows_without_a_value_stand_last_either_way(window, find):
    heads = "return [...document.querySelectorAll(arguments[0] + ' thead th')].map((each) => each.innerText)"
    place = [spoken(text) for text in window.execute_script(heads, TABLE)].index("printed SAD")
    for _ in range(2):
        find(f"{TABLE} thead th:nth-child({place + 1}) button").click()
        assert column_of(window, TABLE, place).index("—") == len(lines_of("table3")) - 1
    find(f"{TABLE} thead th:nth-child({place + 1}) button").click()


def test_provenance_opens_on_focus_and_escape_closes_it(window, find):
    window.execute_script("document.querySelector(arguments[0] + ' thead tr th:last-child button').focus()", TABLE)
    from selenium.webdriver.common.keys import Keys

    press(window, Keys.TAB)
    assert shown_records(window) == ["table3-synthetic-lite-trimap_only"]
    press(window, Keys.ARROW_DOWN)
    assert shown_records(window) == ["table3-synthetic-lite-a2u_hybrid_cw_k1"]
    press(window, Keys.ARROW_RIGHT)
    assert window.execute_script("return document.activeElement.closest('td').cellIndex") == 2
    press(window, Keys.ESCAPE)
    assert shown_records(window) == []


def test_provenance_opens_on_a_click_stays_and_says_where_the_number_is_from(window, find):
    from selenium.webdriver import ActionChains

    find(f"{TABLE} tbody tr:nth-child(3) td .value").click()
    name = "table3-synthetic-lite-a2u_hybrid_cw_k3"
    ActionChains(window).move_to_element(find("h1")).pause(0.5).perform()
    assert shown_records(window) == [name]
    said = find(f"#{name}").text
    for path in (RESULTS / "table3/synthetic/lite/a2u_hybrid_cw_k3").iterdir():
        run = json.loads(path.read_text())
        assert f"{run['metrics']['sad']:.3f}" in said
        assert run["provenance"]["commit"] in said
        assert run["provenance"]["machine"]["cpu"] in said
        assert f"{run['provenance']['wall_seconds']:.0f} s" in said
        assert run["provenance"]["data_sha256"] in said.replace("\n", "")
    find(f"#{name} .close").click()
    assert shown_records(window) == []


def test_provenance_opens_under_the_pointer_and_goes_with_it(window, find):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    window.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    ActionChains(window).move_to_element(find(f"{TABLE} tbody tr:nth-child(2) td .value")).perform()
    WebDriverWait(window, 5).until(lambda _: shown_records(window) == ["table3-synthetic-lite-a2u_hybrid_cw_k1"])
    ActionChains(window).move_to_element(find("h1")).perform()
    WebDriverWait(window, 5).until(lambda _: shown_records(window) == [])


def clip(window):
    """Where the upper picture of the first pair is cut, in parts of its width from the left."""
    cut = window.execute_script("return getComputedStyle(document.querySelectorAll('.pair img')[1]).clipPath")
    return 1 - float(re.match(r"inset\(0px ([\d.]+)% 0px 0px\)", cut).group(1)) / 100


def test_the_border_between_two_mattes_moves_with_the_keyboard_and_the_pointer(window, find):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    slider = find(".pair input")
    assert clip(window) == pytest.approx(0.5)
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert clip(window) == pytest.approx(0.52)
    assert slider.get_attribute("aria-valuetext") == "52 percent baseline (nearest), the rest ours (A2U)"
    width = slider.size["width"]
    ActionChains(window).move_to_element_with_offset(slider, int(-width / 4), 0).click().perform()
    assert clip(window) == pytest.approx(0.25, abs=0.03)
    ActionChains(window).click_and_hold().move_by_offset(int(width / 2), 0).release().perform()
    assert clip(window) == pytest.approx(0.75, abs=0.03)


def test_any_two_pictures_can_be_compared(window):
    """By grey levels of what is shown: of the second image, whose pictures differ by 20 from left to right."""
    script = """
        const pair = document.querySelectorAll(".strip")[1];
        const choose = (side, value) => {
            const select = pair.querySelector(`[data-side=${side}]`);
            select.value = value;
            select.dispatchEvent(new Event("change"));
        };
        choose("left", 5); choose("right", 1);
        return Promise.all([...pair.querySelectorAll(".pair img")].map(async (image) => {
            await image.decode();
            const context = new OffscreenCanvas(1, 1).getContext("2d");
            context.drawImage(image, 0, 0, 1, 1);
            return [context.getImageData(0, 0, 1, 1).data[0], image.alt];
        }));
    """
    assert window.execute_script(script) == [[41, "right: case1: trimap"], [121, "left: case1: ground truth"]]


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_itself_never_scrolls_sideways(window, width):
    resize(window, width, 844)
    inside, boxes = window.execute_script("""
        scrollTo(500, 0);
        return [scrollX, [...document.querySelectorAll(".scroll")].map((box) => box.scrollWidth - box.clientWidth)]
    """)
    resize(window, 1280, 900)
    assert inside == 0
    assert max(boxes) > 0 or width > 390  # what is too wide scrolls in its own box


@pytest.mark.parametrize(("scheme", "rules"), [("light", None), ("dark", ["color-contrast"])])
def test_an_accessibility_check_finds_nothing(window, scheme, rules):
    axe = pytest.importorskip("axe_core_python", reason='needs axe-core-python (pip install -e ".[test]")')
    window.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    window.execute_script((files(axe) / "axe.min.js").read_text())
    window.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = window.execute_script("return axe.run(document, arguments[0])", {"runOnly": rules} if rules else {})
    wrong = [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
    assert wrong == []
    expected = rules or ["color-contrast", "image-alt", "button-name", "html-has-lang"]
    assert set(expected) <= {each["id"] for each in found["passes"]}


def test_nothing_was_asked_of_a_network_and_no_error_said(window, page):
    assert requests(window) == [page.as_uri()]
    assert window.get_log("browser") == []


# From the command line


@pytest.mark.slow
def test_a_key_that_it_does_not_have_is_a_sentence():
    words = [sys.executable, str(ROOT / "scripts" / "report.py"), "colour=red"]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "error: unknown configuration key colour; allowed here: source, outputs, folder.\n"


@pytest.mark.slow
def test_make_report_shows_every_committed_table(tmp_path):
    words = ["make", "report", f"ARGS=outputs='{tmp_path}'", f"PYTHON={sys.executable}"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "report" / "index.html").read_text()
    for path in {*RESULTS.glob("table*/**/seed*.json")}:
        assert path.relative_to(ROOT).as_posix() in text
