"""Distinctions-646 in the released folder layout; test set and backgrounds as for Adobe's dataset.

root/Train/FG, GT            a foreground and its alpha under the same name
root/Train/train2014         background images (or Train/bg)
root/Test/FG, GT             as for training; evaluation reads GT
root/Test/merged             <foreground>_<k>.png, made by scripts/data.py compose (or Test/Image, where the authors'
                             own program writes them)
root/Test/trimaps            the same names

Neither composites nor trimaps are released. The authors' lists of names come with their program and belong in
root/Test: fg_test.txt, and bg_test.txt with 20 images of Pascal VOC 2012 per foreground.

Source: Qiao et al., "Attention-guided hierarchical structure aggregation for image matting", CVPR 2020.
"""

from dataclasses import dataclass
from typing import ClassVar

from a2u.data.files.layout import Layout, TwoPartConfig
from a2u.settings import schema


@schema("dataset/distinctions646")
@dataclass
class Distinctions646Config(TwoPartConfig):
    """Distinctions-646 in the released folder layout, its test set composed as Composition-1k is."""

    name: str = "distinctions646"
    layout: ClassVar = Layout(
        training="Train",
        test="Test",
        foregrounds=("FG", "fg"),
        alphas=("GT", "alpha"),
        backgrounds=("train2014", "bg"),
        merged=("merged", "Image"),
        trimaps=("trimaps", "trimap"),
        foreground_list=("fg_test.txt", "fg_names.txt"),
        background_list=("bg_test.txt", "bg_names.txt"),
        test_backgrounds=("bg", "BG"),
        training_foregrounds=596,
        test_foregrounds=50,
        composites=1000,
    )
