"""Pack an archive for the benchmark of alphamatting.com: alphas of its own photographs, without public true alpha."""

import hashlib
import sys
import zipfile
from pathlib import Path

from tqdm import tqdm

from a2u.apply.systems import System, load_system
from a2u.data.files.folders import file_sha256, require
from a2u.data.files.images import encode_png
from a2u.data.sources.alphamatting import BENCHMARK, BenchmarkPhotographs, photographs_folder
from a2u.engine.evaluate import predict
from a2u.engine.prepare import choose_device
from a2u.files import replacing
from a2u.models.networks.base import MattingNetwork
from a2u.reproduce.published import published
from a2u.reproduce.rows import RowRun

TRIMAPS = ("Trimap1", "Trimap2", "Trimap3")  # small, large, by a user: S, L, U of Table 6


def benchmark_photographs(folder: str) -> Path | None:
    """Return the folder if it holds the benchmark's photographs; None if it only holds those with true alpha.

    Raises:
        DataError: there is no such folder, or not all eight photographs of Table 6 with three trimaps each.
    """
    root = photographs_folder(folder)
    if not (root / BENCHMARK).is_dir():
        return None
    for trimap in TRIMAPS:
        require(published()["table6"]["images"], BenchmarkPhotographs(root, trimap).names, root / BENCHMARK, "Table 6")
    return root


def make_submission(run: RowRun, weights: Path, root: Path) -> Path:
    """Write the alphas of the benchmark's photographs by a trained row, unless the same are there; return the archive.

    Trimap1/doll.png ... Trimap3/troll.png, 8-bit grey, of the photograph's size: folders and names as the benchmark
    has its trimaps. Its page says in which form it takes them today. The same weights give the same bytes.

    Args:
        run: whose folder the archive goes to, and who says how alphas become 8-bit values.
        weights: its checkpoint.
        root: folder of the photographs.

    Raises:
        CheckpointError, DataError, PredictionError: no archive is left then.
    """
    rounding = run.cfg.metrics.rounding.name
    mark = hashlib.sha256(f"{file_sha256(weights)} {root.absolute()} {rounding}".encode()).hexdigest()
    path = run.places.folder.parent / f"alphamatting-seed{run.seed}-{mark[:8]}.zip"
    if path.is_file() and not run.cfg.runtime.force:
        return path
    model = load_system(System.checkpoint, str(weights)).model.to(choose_device(run.cfg.runtime.device))
    assert isinstance(model, MattingNetwork)
    kinds = {trimap: BenchmarkPhotographs(root, trimap) for trimap in TRIMAPS}
    cases = [(trimap, index) for trimap, photographs in kinds.items() for index in range(len(photographs))]
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for trimap, index in tqdm(cases, run.title, disable=not sys.stderr.isatty(), leave=False):
            name, image, known = kinds[trimap][index]
            entry = zipfile.ZipInfo(f"{trimap}/{name}.png")  # dated 1980, not compressed: the same on every machine
            entry.external_attr = 0o644 << 16  # readable once unpacked
            archive.writestr(entry, encode_png(predict(model, image, known, rounding)))
    return path
