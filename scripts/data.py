"""Datasets: unpack an archive, compose a test set, verify a folder, draw the generated one and the demo's picture.

Examples:
    python scripts/data.py unpack Adobe.zip --into DIR
    python scripts/data.py compose --root DIR --bg VOC2012/JPEGImages
    python scripts/data.py verify --dataset adobe --root DIR

Options of a command: python scripts/data.py COMMAND --help
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NoReturn

from a2u.cli.main import user_errors
from a2u.config import compose, options_of
from a2u.data.composition1k.compose import make, plan
from a2u.data.composition1k.verify import verify
from a2u.data.files.archives import GB, unpack
from a2u.data.sources.synthetic import SyntheticConfig
from a2u.data.synthetic.demo import write_demo
from a2u.data.synthetic.sheet import contact_sheet
from a2u.engine.provenance import available_cores
from a2u.errors import did_you_mean


class Parser(argparse.ArgumentParser):
    """Suggests the nearest of several choices, as Python does by itself from 3.14 on."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        suggestion = did_you_mean(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        super().error(f"{message}{suggestion}")


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_unpack(commands.add_parser("unpack", help="unpack a zip or tar file, all of it or nothing"))
    _add_compose(commands.add_parser("compose", help="make the composites of Composition-1k or Distinctions-646"))
    _add_verify(commands.add_parser("verify", help="say what is missing or different in a dataset's folder"))
    pictures = commands.add_parser("pictures", help="contact sheets of the synthetic dataset")
    pictures.add_argument("--folder", type=Path, default=Path("docs/images"))
    pictures.set_defaults(run=_pictures)
    demo = commands.add_parser("demo", help="the picture of `make demo`, its trimap and its alpha")
    demo.add_argument("--folder", type=Path, default=Path("docs/demo"))
    demo.set_defaults(run=_demo)
    arguments = parser.parse_args()
    with user_errors():
        sys.exit(arguments.run(arguments))


def _add_unpack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, help="zip, tar, tar.gz, tar.bz2 or tar.xz")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="a new or empty folder")
    parser.add_argument("--limit", type=float, metavar="GB", help="of the files; default: 20 times the archive's size")
    parser.set_defaults(run=_unpack)


def _unpack(arguments: argparse.Namespace) -> int:
    limit = None if arguments.limit is None else int(arguments.limit * GB)
    files, size = unpack(arguments.archive, arguments.into, limit)
    print(f"{arguments.into}: {files:,} files, {size / GB:.3f} GB")
    return 0


def _add_compose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, required=True, help="folder with Test_set (Adobe) or Test (Distinctions)")
    parser.add_argument("--fg", type=Path, help="foregrounds; default: fg or FG in the test folder")
    parser.add_argument("--alpha", type=Path, help="alphas; default: alpha or GT in the test folder")
    parser.add_argument("--bg", type=Path, help="backgrounds, Pascal VOC's JPEGImages; default: bg in the test folder")
    parser.add_argument(
        "--fg-names", type=Path, help="list of foregrounds; default: the released one in the test folder"
    )
    parser.add_argument("--bg-names", type=Path, help="list of backgrounds; likewise")
    parser.add_argument("--out", type=Path, help="folder for the composites; default: merged in the test folder")
    parser.add_argument("--per-foreground", type=int, metavar="K", help="default: the list of backgrounds shared out")
    parser.add_argument("--trimaps", type=int, metavar="WIDTH", help="make trimaps too, eroded by 1..WIDTH pixels (29)")
    parser.add_argument(
        "--jobs", type=int, default=available_cores(), help="processes; default: all cores, %(default)s"
    )
    parser.set_defaults(run=_compose)


def _compose(arguments: argparse.Namespace) -> int:
    planned = plan(
        arguments.root,
        foregrounds=arguments.fg,
        alphas=arguments.alpha,
        backgrounds=arguments.bg,
        foreground_list=arguments.fg_names,
        background_list=arguments.bg_names,
        merged=arguments.out,
        per_foreground=arguments.per_foreground,
        trimaps=arguments.trimaps,
    )
    made, kept, pixels = make(planned, max(1, arguments.jobs))
    print(f"{planned.merged}: {made + kept} composites, {made} made and {kept} there already; pixels {pixels}")
    return 0


def _add_verify(parser: argparse.ArgumentParser) -> None:
    generated = ("synthetic", "study_test")  # which have no folder
    choices = [name for name in options_of("dataset") if name not in generated]
    parser.add_argument("--dataset", choices=choices, required=True)
    parser.add_argument("--root", type=Path, help="the dataset's folder, as dataset.root")
    parser.add_argument("--deep", action="store_true", help="decode every file; else headers only")
    parser.add_argument("overrides", nargs="*", help="further options, such as dataset.backgrounds=DIR")
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    cfg = compose([f"dataset={arguments.dataset}", *arguments.overrides]).dataset
    cfg.root = None if arguments.root is None else str(arguments.root)
    found = verify(cfg, arguments.deep, available_cores())
    for problem in found.problems:
        print(problem)
    if not found.problems:
        how = "decoded" if arguments.deep else "looked at by their headers; --deep decodes them"
        how = f"{found.files} images {how}" if found.files else "contents as released"
        print(f"{arguments.dataset} is whole: {', '.join(found.counts)} ({how}); test set {found.checksum}")
    return 1 if found.problems else 0


def _pictures(arguments: argparse.Namespace) -> int:
    contact_sheet(arguments.folder, SyntheticConfig().seed)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    write_demo(arguments.folder)
    return 0


if __name__ == "__main__":
    main()
