"""Adobe Image Matting (training) and Composition-1k (test) in the released folder layout.

root/Training_set/fg, alpha       one foreground and its alpha under one name, .jpg or .png
root/Training_set/train2014       background pictures (else Training_set/bg)
root/Test_set/merged, trimaps     <foreground>_<k>.png
root/Test_set/alpha               <foreground>.png
"""

from functools import partial
from pathlib import Path

from a2u.config import AdobeConfig
from a2u.data.folders import (
    CompositeFile,
    CompositeFiles,
    LayerFile,
    LayerFiles,
    PictureFiles,
    checksum,
    contents,
    dataset_root,
    find_images,
    limited,
    read_names,
    require,
)
from a2u.data.types import MattingData
from a2u.errors import DataError


def build(cfg: AdobeConfig) -> MattingData:
    """Find the files; folders, names and the sizes of test cases are checked here, before any use.

    A root without Training_set evaluates only: its layers and backgrounds are None.
    Raises DataError that names the folder or files at fault.
    """
    root = dataset_root(cfg, "holds Training_set and Test_set")
    training, test = root / "Training_set", root / "Test_set"
    if not test.is_dir():
        raise DataError(
            f"{root} has no folder Test_set; it holds {contents(root)}: "
            "set root to the folder that holds Training_set and Test_set"
        )
    composites = limited(_composites(root, cfg.test_list), cfg.limit_test)
    layers = limited(_layers(root, cfg.train_list), cfg.limit_train) if training.is_dir() else []
    return MattingData(
        layers=LayerFiles(layers, cfg.cache_mb) if layers else None,
        layer_names=[layer.name for layer in layers],
        backgrounds=PictureFiles(_backgrounds(root, cfg.backgrounds)) if layers else None,
        test=CompositeFiles(composites),
        test_names=[composite.name for composite in composites],
        checksum=partial(checksum, root, composites),
    )


def _layers(root: Path, list_file: str | None) -> list[LayerFile]:
    foregrounds = find_images(root / "Training_set" / "fg")
    alphas = find_images(root / "Training_set" / "alpha")
    if list_file is None:
        names = list(foregrounds)
        # An alpha without its foreground shows a copy that is not complete.
        require(alphas, foregrounds, root / "Training_set" / "fg", "Training_set/alpha")
    else:
        names = read_names(root / Path(list_file).expanduser())
        require(names, foregrounds, root / "Training_set" / "fg", f"the list {list_file}")
    require(names, alphas, root / "Training_set" / "alpha", "Training_set/fg")
    return [LayerFile(name, foregrounds[name], alphas[name]) for name in names]


def _backgrounds(root: Path, folder: str | None) -> list[Path]:
    if folder is not None:
        return list(find_images(root / Path(folder).expanduser()).values())
    training = root / "Training_set"
    for name in ("train2014", "bg"):
        if (training / name).is_dir():
            return list(find_images(training / name).values())
    raise DataError(
        f"{training} has neither train2014 nor bg, the background pictures; it holds "
        f"{contents(training)}: put them there, or name their folder in `backgrounds`"
    )


def _composites(root: Path, list_file: str | None) -> list[CompositeFile]:
    test = root / "Test_set"
    images = find_images(test / "merged", (".png",))
    trimaps = find_images(test / "trimaps", (".png",))
    alphas = find_images(test / "alpha", (".png",))
    if list_file is None:
        names = list(images)
        require(trimaps, images, test / "merged", "Test_set/trimaps")
    else:
        names = _listed(read_names(root / Path(list_file).expanduser()), list(images))
        require(names, images, test / "merged", f"the list {list_file}")
    require(names, trimaps, test / "trimaps", "Test_set/merged")
    # The released rule: one alpha serves all composites of a foreground. Without it, one each.
    alpha_names = {name: _foreground(name) for name in names}
    alpha_names |= {name: name for name in names if alpha_names[name] not in alphas and name in alphas}
    require(dict.fromkeys(alpha_names.values()), alphas, test / "alpha", "Test_set/merged")
    return [CompositeFile(name, images[name], trimaps[name], alphas[alpha_names[name]]) for name in names]


def _listed(names: list[str], images: list[str]) -> list[str]:
    """Names of composites, where a list may name a foreground for all its composites."""
    listed: list[str] = []
    for name in names:
        composites = [image for image in images if _foreground(image) == name]
        listed += [name] if name in images or not composites else composites
    return list(dict.fromkeys(listed))


def _foreground(composite: str) -> str:
    """Name of the foreground of the composite <foreground>_<k>."""
    foreground, _, number = composite.rpartition("_")
    return foreground if number.isdecimal() else composite
