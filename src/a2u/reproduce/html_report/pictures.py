"""Embed the mattes of `make figures` in the page."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from a2u.errors import A2UError
from a2u.reproduce.figures.sheet import INDEX

TRUTH = "ground truth"


class PictureError(A2UError):
    """Pictures do not have the form that `make figures` writes."""


@dataclass(frozen=True)
class Picture:
    """One picture of a strip."""

    title: str  # image, trimap, or whose matte
    note: str
    uri: str


@dataclass(frozen=True)
class Strip:
    """Pictures of one test image: itself, its trimap, mattes. `left` and `right` are compared first, by index."""

    name: str
    pictures: list[Picture]
    left: int
    right: int


@dataclass(frozen=True)
class Gallery:
    """One of the paper's qualitative figures, and its caption: images, runs, commits and test set."""

    title: str
    caption: list[str]
    strips: list[Strip]


def galleries(figures: Path) -> list[Gallery]:
    """Return the contents of <figures>/<dataset>/<scale>/fig<number>/, sorted, with the captions next to these folders.

    Raises:
        PictureError: an index there, or a picture, cannot be read; names it.
    """
    found = []
    for index in sorted(figures.glob(f"*/*/fig*/{INDEX}")):
        dataset, scale, figure = index.relative_to(figures).parts[:3]
        title = f"{figure.replace('fig', 'Figure ')} on {dataset}, {scale}"
        try:
            content = json.loads(index.read_text(encoding="utf-8"))
            strips = [_strip(content["titles"], cells, index.parent) for cells in content["rows"]]
            caption = index.parent.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
            found.append(Gallery(title, caption, strips))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise PictureError(
                f"{index} or what belongs to it cannot be read ({error!r}): remove {index.parent}, or draw it again "
                "with `make figures`."
            ) from error
    return found


def _strip(titles: list[str], cells: list[dict[str, str] | None], folder: Path) -> Strip:
    pictures = [
        Picture(title, cell["note"], data_uri(folder / cell["file"]))
        for title, cell in zip(titles, cells, strict=True)
        if cell is not None
    ]
    mattes = [place for place, picture in enumerate(pictures) if place > 1 and picture.title != TRUTH]
    return (
        Strip(pictures[0].note, pictures, *mattes[-2:]) if len(mattes) > 1 else Strip(pictures[0].note, pictures, 0, 1)
    )


def data_uri(path: Path) -> str:
    """Return a PNG or SVG file as a data URI."""
    kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
