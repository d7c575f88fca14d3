"""The alphamatting.com photographs with true alpha (low resolution): evaluation only.

root/input_training_lowres             GT01.png ...
root/gt_training_lowres                the same names; grey stored as RGB
root/trimap_training_lowres/Trimap1    the same names; also Trimap2

Source: Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.
"""

from functools import partial

from a2u.config import AlphamattingConfig
from a2u.data.folders import (
    CompositeFile,
    CompositeFiles,
    checksum,
    dataset_root,
    find_images,
    limited,
    require,
)
from a2u.data.types import MattingData


def build(cfg: AlphamattingConfig) -> MattingData:
    """Find the files; names and sizes are checked here. There is no training part.

    Raises DataError that names the folder or files at fault.
    """
    root = dataset_root(cfg, "holds input_training_lowres")
    images = find_images(root / "input_training_lowres", (".png",))
    others = []
    for folder in (root / "trimap_training_lowres" / cfg.trimap, root / "gt_training_lowres"):
        found = find_images(folder, (".png",))
        require(images, found, folder, "input_training_lowres")
        others.append(found)
    trimaps, alphas = others
    files = [CompositeFile(name, images[name], trimaps[name], alphas[name]) for name in images]
    files = limited(files, cfg.limit_test)
    return MattingData(
        layers=None,
        layer_names=(),
        backgrounds=None,
        test=CompositeFiles(files),
        test_names=[file.name for file in files],
        checksum=partial(checksum, root, files),
    )
