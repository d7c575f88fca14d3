"""Adobe Image Matting (training) and Composition-1k (test) in the released folder layout.

root/Training_set/fg, alpha       a foreground and its alpha under the same name, .jpg or .png; or, as in the released
                                  archive, both of "Adobe-licensed images"/fg and Other/fg
root/Training_set/train2014       background images (or Training_set/bg)
root/Test_set/merged              <foreground>_<k>.png, made by a2u.data.composition1k.compose
root/Test_set/trimaps             the same names (or "Adobe-licensed images"/trimaps)
root/Test_set/alpha               <foreground>.png (or "Adobe-licensed images"/alpha)
root/Test_set/fg                  <foreground>.png (or "Adobe-licensed images"/fg), for split=all and to compose

Source: Xu et al., "Deep image matting", CVPR 2017.
"""

from dataclasses import dataclass
from typing import ClassVar

from a2u.data.files.layout import Layout, TwoPartConfig
from a2u.settings import schema


@schema("dataset/adobe")
@dataclass
class AdobeConfig(TwoPartConfig):
    """Adobe Image Matting / Composition-1k in the released folder layout."""

    name: str = "adobe"
    layout: ClassVar = Layout(
        training="Training_set",
        test="Test_set",
        foregrounds=("fg", "*/fg"),
        alphas=("alpha", "*/alpha"),
        backgrounds=("train2014", "bg"),
        merged=("merged",),
        trimaps=("trimaps", "*/trimaps"),
        foreground_list=("test_fg_names.txt", "fg_names.txt"),
        background_list=("test_bg_names.txt", "bg_names.txt"),
        test_backgrounds=("bg",),
        training_foregrounds=431,
        test_foregrounds=50,
        composites=1000,
    )
