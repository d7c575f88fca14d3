"""Prepare and check datasets. The first word says what to do.

unpack       unpack a zip or tar file, all of it or nothing
compose      make the composites of Composition-1k or Distinctions-646
verify       report what is missing or different in a dataset's folder
photographs  collect photographs and cut-outs for dataset=photo_textures, with a table of their licences
pictures     draw the contact sheets of the generated dataset, or of dataset=photo_textures
demo         draw the picture of `make demo`, its trimap and its alpha

Examples:
    python scripts/data.py unpack archive=Adobe.zip into=DIR
    python scripts/data.py compose root=DIR backgrounds=VOC2012/JPEGImages
    python scripts/data.py verify dataset=adobe dataset.root=DIR deep=true
    python scripts/data.py photographs into=data/photographs

Keys of each: python scripts/data.py verify --help
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from a2u.cli.main import print_help, user_errors
from a2u.config import as_typed, compose, refuse_incomplete
from a2u.data.composition1k.compose import make, plan
from a2u.data.composition1k.verify import verify
from a2u.data.files.archives import GB, unpack
from a2u.data.photo_textures.collect import TABLE, collect
from a2u.data.photo_textures.sheet import photo_sheet
from a2u.data.sources.photo_textures import PhotoTexturesConfig
from a2u.data.sources.synthetic import SyntheticConfig
from a2u.data.synthetic.demo import write_demo
from a2u.data.synthetic.sheet import contact_sheet
from a2u.data.types import DatasetConfig
from a2u.engine.provenance import available_cores
from a2u.errors import ConfigError, did_you_mean
from a2u.files import user_path
from a2u.settings import MOST_PROCESSES, field, schema, validate


@schema("unpack")
@dataclass
class Unpack:
    archive: str = field("???", "zip, tar, tar.gz, tar.bz2 or tar.xz")
    into: str = field("???", "a new or empty folder")
    limit_gb: float | None = field(None, "of all files together; null: 20 times the archive's size", above=0)

    def __call__(self) -> int:
        limit = None if self.limit_gb is None else int(self.limit_gb * GB)
        files, size = unpack(user_path(self.archive), user_path(self.into), limit)
        print(f"{self.into}: {files:,} files, {size / GB:.3f} GB")
        return 0


@schema("compose")
@dataclass
class Compose:
    root: str = field("???", "folder with Test_set (Adobe) or Test (Distinctions)")
    foregrounds: str | None = field(None, "folder; null: fg or FG in the test folder")
    alphas: str | None = field(None, "folder; null: alpha or GT in the test folder")
    backgrounds: str | None = field(None, "folder, Pascal VOC's JPEGImages; null: bg in the test folder")
    foreground_list: str | None = field(None, "null: the released one in the test folder")
    background_list: str | None = field(None, "null: the released one in the test folder")
    merged: str | None = field(None, "folder for the composites; null: merged in the test folder")
    per_foreground: int | None = field(None, "composites; null: the list of backgrounds shared out", least=1)
    trimaps: int | None = field(None, "make trimaps too, eroded by 1..trimaps pixels (29)", least=1)
    jobs: int | None = field(None, "processes; null: one per CPU core", least=1, most=MOST_PROCESSES)

    def __call__(self) -> int:
        paths = ("foregrounds", "alphas", "backgrounds", "foreground_list", "background_list", "merged")
        given = {key: user_path(getattr(self, key)) for key in paths if getattr(self, key) is not None}
        planned = plan(user_path(self.root), **given, per_foreground=self.per_foreground, trimaps=self.trimaps)
        made, kept, pixels = make(planned, self.jobs or available_cores())
        print(f"{planned.merged}: {made + kept} composites, {made} made and {kept} there already; pixels {pixels}")
        return 0


@schema("verify")
@dataclass
class Verify:
    dataset: DatasetConfig = dataclasses.field(default_factory=DatasetConfig)
    deep: bool = field(False, "decode every file; false: headers only")

    def __call__(self) -> int:
        found = verify(OmegaConf.structured(self.dataset), self.deep, available_cores())
        for problem in found.problems:
            print(problem)
        if not found.problems:
            how = "decoded" if self.deep else "checked by their headers; deep=true decodes them"
            how = f"{found.files} images {how}" if found.files else "contents as released"
            print(f"{self.dataset.name} is complete: {', '.join(found.counts)} ({how}); test set {found.checksum}")
        return 1 if found.problems else 0


@schema("photographs")
@dataclass
class Photographs:
    into: str = field("???", "a new or empty folder")
    folders: str | None = field(None, f"your own photographs; several folders with {os.pathsep} between them")
    licence: str = field("unknown", "of the pictures in folders, for the table")
    debian: bool = field(True, "also those in five of Debian's packages, which apt-get downloads (330 MB)")
    samples: bool = field(True, "also those in scikit-image and scikit-learn, where they are installed")

    def __call__(self) -> int:
        folders = self.folders.split(os.pathsep) if self.folders else []
        found = collect(user_path(self.into), folders, self.licence, self.debian, self.samples)
        skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(found.skipped.items())) or "nothing"
        print(
            f"{self.into}: {found.photographs} photographs and {found.cutouts} cut-outs, listed with their licences in "
            f"{TABLE}; left out: {skipped}"
        )
        return 0


@schema("pictures")
@dataclass
class Pictures:
    folder: str = field("docs/images", "where the sheets go")
    photographs: str | None = field(None, "a folder of photographs: draw the sheet of dataset=photo_textures instead")

    def __call__(self) -> int:
        folder = user_path(self.folder)
        if self.photographs is None:
            contact_sheet(folder, SyntheticConfig().seed)
        else:
            data = PhotoTexturesConfig(root=self.photographs, cache=None, test_images=10, test_size=256, held_out=0.5)
            photo_sheet(folder / "photo_textures.jpg", data.build().test)
        return 0


@schema("demo")
@dataclass
class Demo:
    folder: str = field("docs/demo", "where the picture goes")

    def __call__(self) -> int:
        write_demo(user_path(self.folder))
        return 0


COMMANDS: dict[str, type[Any]] = {
    "unpack": Unpack,
    "compose": Compose,
    "verify": Verify,
    "photographs": Photographs,
    "pictures": Pictures,
    "demo": Demo,
}


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    if len(sys.argv) == 1 or sys.argv[1] in ("-h", "--help"):
        print((__doc__ or "").strip())
        return 0
    command = sys.argv.pop(1)
    with user_errors():
        if command not in COMMANDS:
            suggestion = did_you_mean(command, COMMANDS)
            raise ConfigError(f"there is no command {command!r}; there are: {', '.join(COMMANDS)}.{suggestion}")
        config = "verify" if command == "verify" else f"{command}_schema"  # the others have keys alone
        if print_help(__doc__, config):
            return 0
        texts = [entry.name for entry in dataclasses.fields(COMMANDS[command]) if entry.type in (str, str | None)]
        cfg = compose([as_typed(word, [*texts, "dataset.root"]) for word in sys.argv[1:]], config)
        refuse_incomplete(cfg)
        validate(cfg)
        work: Callable[[], int] = OmegaConf.to_object(cfg)  # type: ignore[assignment]
        return work()


if __name__ == "__main__":
    sys.exit(main())
