"""make bench: plain formulations equal ours, targets are met or missed, the table, publication."""

import json
import subprocess
import sys

import pytest
import torch

from a2u.errors import ConfigError
from a2u.models.networks.resnet34_unet import MattingUNet
from a2u.upsampling import ops
from a2u.upsampling.ops import encoding
from scripts.bench import gpu, plain, report
from scripts.bench.measure import Line, peaks_are_known, seconds
from scripts.bench.report import BenchConfig


def test_plain_reassembly_is_ours():
    x, up = torch.randn(2, 6, 5, 7).double(), torch.randn(2, 18, 10, 14).double()
    torch.testing.assert_close(plain.reassemble_up(x, up, 3, 2), ops.reassemble_up(x, up, 3, 2))
    x, down = torch.randn(2, 6, 10, 14).double(), torch.randn(2, 72, 5, 7).double()
    torch.testing.assert_close(plain.reassemble_down(x, down, 6, 2), ops.reassemble_down(x, down, 6, 2))


@pytest.mark.parametrize(("samples", "outputs", "shared"), [(1, 1, 1), (1, 8, 6), (3, 1, 1), (3, 2, 2)])
def test_plain_encoding_is_ours(samples, outputs, shared):
    x, kernels = torch.randn(3, 6, 9, 8).double(), torch.randn(samples, outputs, shared, 5, 5).double()
    torch.testing.assert_close(plain.encode(x, kernels, 2), encoding.encode(x, kernels, 2))


def test_the_plain_network_is_ours_and_really_plain():
    model = MattingUNet("a2u", {"paired": True, "normalise_uv": True}, width=0.125).double().eval()
    x = torch.randn(2, 4, 64, 64).double()
    with torch.no_grad():
        expected = model(x)
        with plain.network():
            assert encoding.encode is plain.encode
            torch.testing.assert_close(model(x), expected)
    assert encoding.encode is not plain.encode


def test_a_line_says_whether_its_target_is_met():
    assert Line("", "", "s", ours=1, reference=4, target=4).met
    assert not Line("", "", "s", ours=1, reference=3.9, target=4).met
    assert Line("", "", "1/s", ours=10, reference=2, target=5).met
    assert not Line("", "", "1/s", ours=9, reference=2, target=5).met
    assert Line("", "", "MB", ours=5, target=6).met
    assert not Line("", "", "s", ours=7, target=6).met
    assert Line("", "", "s", ours=1, reference=2).met is None


@pytest.mark.skipif(not peaks_are_known(), reason="the system does not tell the most memory held")
def test_peak_memory_is_what_is_held_at_once():
    """In a process of its own, as parts are measured: what others left in the allocator would count."""
    script = """
import torch
from scripts.bench.measure import peak_mb

def work():
    for _ in range(8):
        torch.ones(2**22).sum()  # 16 MB each, one after the other

print(peak_mb(work))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 15 < float(ended.stdout) < 20


def test_works_take_turns():
    turns = []
    seconds(lambda: turns.append("a"), lambda: turns.append("b"), repeats=2)
    assert turns == ["a", "b"] * 3


def test_table_json_and_exit_status(tmp_path, monkeypatch, capsys):
    lines = [
        Line("reassembly", "up", "s", 0.1, 1.0, target=4, work="0.2 GB", ceiling=0.25),
        Line("start-up", "help", "s", 4.0, target=3),
    ]
    monkeypatch.setattr(report, "measured", lambda part: lines)
    assert report.bench(BenchConfig(parts=["startup"], outputs=str(tmp_path))) == 1
    table = capsys.readouterr().out
    assert "10.0x" in table
    assert "25%" in table
    assert "NO" in table
    result = json.loads((tmp_path / "bench" / "cpu.json").read_text())
    assert [line["ratio"] for line in result["lines"]] == [10.0, None]
    assert {"commit", "dirty", "machine", "versions"} <= result["provenance"].keys()
    with pytest.raises(report.BenchError, match=r"reassembly.* are missing"):
        report.bench(BenchConfig(outputs=str(tmp_path), publish=True))


def test_measurements_of_a_gpu_are_published_by_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "REPOSITORY", tmp_path)
    monkeypatch.setattr(report, "measured", lambda part: [Line("network", "forward", "s", 0.1, 1.0)])
    monkeypatch.setattr(report, "commit", lambda: ("0" * 40, False))
    monkeypatch.setattr(report, "machine", lambda: {"cpu": "a CPU", "cores": 16, "gpu": "a GPU"})
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("<!-- results/bench/gpu.json -->\n<!-- end -->\n")
    settings = {"outputs": str(tmp_path / "outputs"), "name": "gpu"}
    assert report.bench(BenchConfig(parts=["gpu"], **settings)) == 0
    assert report.bench(BenchConfig(publish=True, **settings)) == 0
    assert "a GPU, a CPU, 16 cores" in page.read_text()
    assert "gpu" not in report.PARTS  # make bench measures no GPU unless asked to


def test_measurements_of_operators_are_published_in_the_gallery(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "REPOSITORY", tmp_path)
    monkeypatch.setattr(report, "measured", lambda part: [Line("operators", "JBU, forward", "s", 0.1, 1.0)])
    monkeypatch.setattr(report, "commit", lambda: ("0" * 40, False))
    page = tmp_path / "docs" / "operators.md"
    page.parent.mkdir()
    page.write_text("<!-- results/bench/operators.json -->\n<!-- end -->\n")
    settings = {"outputs": str(tmp_path / "outputs"), "name": "operators"}
    assert report.bench(BenchConfig(parts=["operators"], **settings)) == 0
    assert report.bench(BenchConfig(publish=True, **settings)) == 0
    assert "| 100.0 ms |" in page.read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_not_measured():
    with pytest.raises(ConfigError, match="PyTorch finds none here"):
        next(gpu.lines())


def test_parts_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(ConfigError, match="speed; there are: startup"):
        report.bench(BenchConfig(parts=["speed"], outputs=str(tmp_path)))


@pytest.mark.parametrize("path", sorted((report.REPOSITORY / "results" / "bench").glob("*.json")), ids=lambda p: p.name)
def test_published_measurements_are_shown_and_come_from_a_commit(path):
    result = json.loads(path.read_text())
    assert result["provenance"]["dirty"] is False
    assert result["parts"] in map(list, (report.PARTS, report.OF_A_GPU, report.OPERATORS))
    if result["parts"] == list(report.OPERATORS):
        return  # shown in docs/operators.md: tests/reproduce/test_gallery.py
    page = (report.REPOSITORY / "docs" / "performance.md").read_text()
    assert f"<!-- results/bench/{path.name} -->\n{report.markdown(result)}<!-- end -->" in page


@pytest.mark.parametrize("part", report.PARTS + report.OF_A_GPU + report.OPERATORS)
def test_every_part_can_be_measured(part):
    assert callable(__import__(f"scripts.bench.{part}", fromlist=["lines"]).lines)
