"""Trimaps: which pixels are known background, known foreground or unknown."""

import logging
from dataclasses import dataclass
from enum import Enum
from functools import cache

import cv2
import numpy as np

from a2u.errors import ConfigError, DataError
from a2u.network_input import BACKGROUND, FOREGROUND, UNKNOWN
from a2u.settings import field

log = logging.getLogger(__name__)

MASK_THRESHOLD = 128  # of a rough mask: this and above is foreground


class ValueRule(Enum):
    """What becomes of a trimap's values other than 0, 128 and 255."""

    exact = 1
    nearest = 2
    threshold = 3


@dataclass
class TrimapValues:
    """How a trimap's values are read."""

    trimap_values: ValueRule = field(
        ValueRule.exact,
        "of trimaps; exact: refuse all but 0, 128, 255; nearest: take the nearest of these, and 0, 1, 2 by rank; "
        "threshold: by low and high",
    )
    low: int | None = field(None, "with trimap_values=threshold: this and below is background", least=0, most=254)
    high: int | None = field(None, "likewise: this and above is foreground", least=1, most=255)

    def check(self) -> None:
        """Raise ConfigError unless low and high are given exactly where they are used."""
        if self.trimap_values is not ValueRule.threshold:
            if self.low is not None or self.high is not None:
                raise ConfigError("low= and high= need trimap_values=threshold.")
        elif self.low is None or self.high is None or self.low >= self.high:
            raise ConfigError(
                "trimap_values=threshold needs low= below high=, such as low=10 high=245; "
                f"got {self.low} and {self.high}."
            )

    def read(self, values: np.ndarray, what: str) -> np.ndarray:
        """Return a trimap, (H, W) uint8 of 0, 128 and 255; report how many pixels of `what` were changed.

        Raises:
            DataError: values of (H, W) uint8 that are not allowed; names `what`.
        """
        if self.trimap_values is ValueRule.exact:
            refuse_other_values(values, what)
            return values
        low, high = (63, 192) if self.trimap_values is ValueRule.nearest else (self.low, self.high)
        if self.trimap_values is ValueRule.nearest and values.max() in (1, 2):
            low, high = 0, 2  # labels
        trimap = np.full_like(values, UNKNOWN)
        trimap[values <= low] = BACKGROUND
        trimap[values >= high] = FOREGROUND
        if changed := int(np.count_nonzero(trimap != values)):
            rule = self.trimap_values.name
            log.warning("%s: trimap_values=%s changed %d of %d pixels.", what, rule, changed, values.size)
        return trimap


def refuse_other_values(trimap: np.ndarray, what: str) -> None:
    """Raise DataError, which names `what`, unless a uint8 trimap holds only 0, 128 and 255."""
    others = sorted(set(_values(trimap)) - {BACKGROUND, UNKNOWN, FOREGROUND})
    if others:
        raise DataError(
            f"{what} holds the value(s) {_some(others)}; a trimap holds 0 (background), 128 (unknown) "
            "and 255 (foreground) only: save it again without scaling or lossy compression, or give "
            "trimap_values=nearest to a command that takes it"
        )


def _values(image: np.ndarray) -> list[int]:
    """Return the values that a uint8 image holds, sorted."""
    values: list[int] = np.flatnonzero(np.bincount(image.ravel(), minlength=256)).tolist()
    return values


def _some(values: list[int]) -> str:
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")


def trimap_from_alpha(alpha: np.ndarray, fg_size: int, bg_size: int) -> np.ndarray:
    """Return the trimap of an alpha matte: the opaque and the transparent region, each eroded; the rest is unknown.

    The image border does not erode, so an object cut by the border stays known along the cut.

    Args:
        alpha: (H, W) uint8, 255 = opaque.
        fg_size: diameter in pixels, at least 1, of the ellipse that erodes alpha == 255.
        bg_size: the same for alpha == 0.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).

    Source: Sec. 6.3; the released program draws both diameters from 1..29.

    >>> trimap_from_alpha(np.uint8([[0, 0, 0, 90, 255, 255, 255]]), fg_size=3, bg_size=1).tolist()
    [[0, 0, 0, 128, 128, 255, 255]]
    """
    # Known foreground: only 255 within the ellipse. Known background: only 0.
    least = cv2.erode(alpha, _ellipse(fg_size))
    most = cv2.dilate(alpha, _ellipse(bg_size))
    foreground = cv2.threshold(least, FOREGROUND - 1, FOREGROUND, cv2.THRESH_BINARY)[1]
    not_background = cv2.threshold(most, BACKGROUND, UNKNOWN, cv2.THRESH_BINARY)[1]
    return np.maximum(foreground, not_background)


def trimap_from_mask(
    mask: np.ndarray, erode: int, dilate: int, threshold: int = MASK_THRESHOLD, what: str = "the mask"
) -> np.ndarray:
    """Return the trimap of a rough mask: a band along its outline is unknown.

    The image border is no outline, as in `trimap_from_alpha`. Parts of the mask that are too narrow to leave known
    foreground are reported: a network may lose them.

    Args:
        mask: (H, W) uint8, `threshold` and above = foreground.
        erode: width of the band inside the mask in pixels, at least 0.
        dilate: width of the band outside the mask.
        what: names the mask in messages.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).

    Raises:
        DataError: the mask holds values above 0, but none that reaches `threshold`.
    """
    if 0 < mask.max() < threshold:
        found = [value for value in _values(mask) if value]
        raise DataError(
            f"{what} holds the value(s) {_some(found)}, all below {threshold}, so that nothing would be foreground: "
            f"give mask_threshold={found[0]}, from which a pixel is foreground, or save the mask as 0 and 255"
        )
    foreground = cv2.threshold(mask, threshold - 1, FOREGROUND, cv2.THRESH_BINARY)[1]
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_distance(foreground) > erode] = FOREGROUND
    trimap[_distance(FOREGROUND - foreground) > dilate] = BACKGROUND
    _report_lost_parts(foreground, trimap, erode, what)
    return trimap


def _report_lost_parts(foreground: np.ndarray, trimap: np.ndarray, erode: int, what: str) -> None:
    """Warn about 8-connected parts of a mask without a known foreground pixel, with place and size."""
    if not foreground.any():
        log.warning("%s has no foreground.", what)
        return
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(foreground)
    lost = np.setdiff1d(np.arange(1, count), labels[trimap == FOREGROUND])
    if len(lost):
        largest = sorted(lost, key=lambda part: -boxes[part, cv2.CC_STAT_AREA])[:4]
        shown = [f"{width} x {height} pixels at x={x}, y={y}" for x, y, width, height, _ in boxes[largest]]
        more = f" and {len(lost) - len(shown)} more" if len(lost) > len(shown) else ""
        advice = (
            "%s: erode=%d leaves no known foreground in %d of its %d part(s) (%s%s), which may be lost: erode less."
        )
        log.warning(advice, what, erode, len(lost), count - 1, "; ".join(shown), more)


def _distance(kind: np.ndarray) -> np.ndarray:
    """Return every pixel's exact distance to the nearest 0 in pixels, (H, W) float32; very large if there is none."""
    return cv2.distanceTransform(kind, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def brushed_trimap(alpha: np.ndarray, widest: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a trimap as people do: a brush of changing width along the boundary, which also covers narrow gaps.

    A pixel is unknown if one that is not opaque, or one that is not transparent, is nearer than a radius. The radius
    varies smoothly over the image, between a third and all of a largest one, which is drawn anew for the foreground and
    for the background, every factor equally likely.

    Args:
        alpha: (H, W) uint8, 255 = opaque.
        widest: largest width of the brush in pixels, at least 2.
        rng: draws the widths.

    Returns:
        (H, W) uint8 of 0 (background), 128 (unknown), 255 (foreground).
    """
    height, width = alpha.shape
    varying = cv2.resize(rng.uniform(1 / 3, 1, (4, 4)).astype(np.float32), (width, height))
    inside, outside = np.exp(rng.uniform(0, np.log(widest / 2), 2)).tolist()
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    for known, radius in (FOREGROUND, inside), (BACKGROUND, outside):
        distance = cv2.distanceTransform(cv2.inRange(alpha, known, known), cv2.DIST_L2, cv2.DIST_MASK_5)
        trimap[distance > radius * varying] = known
    return trimap


def is_unknown(alpha: np.ndarray, y: int, x: int, fg_size: int, bg_size: int) -> bool:
    """Return whether pixel (y, x) is unknown in `trimap_from_alpha`, computed from its surroundings alone.

    `alpha` may be a window of a larger image that contains both ellipses around the pixel, as far as the image does.
    """
    least, _ = _extremes(alpha, y, x, fg_size)
    _, most = _extremes(alpha, y, x, bg_size)
    return least < FOREGROUND and most > BACKGROUND


def _extremes(alpha: np.ndarray, y: int, x: int, size: int) -> tuple[float, float]:
    """Return minimum and maximum of alpha within the ellipse around (y, x)."""
    height, width = alpha.shape
    top, left = y - size // 2, x - size // 2
    around = alpha[max(top, 0) : top + size, max(left, 0) : left + size]
    ellipse = _ellipse(size)[max(-top, 0) : height - top, max(-left, 0) : width - left]
    return cv2.minMaxLoc(around, ellipse)[:2]


@cache
def _ellipse(size: int) -> np.ndarray:
    if size < 1:
        raise ValueError(f"an ellipse of diameter {size} pixels: at least 1 is needed")
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
