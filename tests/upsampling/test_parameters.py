"""Exactly the papers' parameter counts, summed over the four stages of the matting network."""

import pytest

from a2u.upsampling import build_upsampler

STAGES = (256, 128, 64, 64)
ADDED = [
    ("nearest", {}, 0),
    ("bilinear", {}, 0),
    ("bicubic", {}, 0),
    ("max_unpool", {}, 0),
    ("carafe", {}, 263_824),
    ("dysample", {}, 16_512),
    ("dysample", {"dynamic_scope": True}, 32_896),
    ("dysample", {"style": "pl"}, 1_056),
    ("dysample", {"style": "pl", "groups": 8}, 2_112),
    ("dysample", {"style": "pl", "dynamic_scope": True}, 2_080),
    ("dysample", {"style": "pl", "groups": 8, "dynamic_scope": True}, 4_160),
    ("sapa", {"variant": "i"}, 0),
    ("sapa", {}, 35_072),
    ("sapa", {"embedding": 64}, 68_096),
    ("sapa", {"norm": "group"}, 35_072),
    ("sapa", {"variant": "g"}, 52_100),
    ("sapa", {"variant": "g", "shared_embedding": True}, 35_588),
    ("sapa_d", {}, 280_704),
    ("fade", {}, 124_008),
    ("fade", {"lite": True}, 27_216),
    ("fade", {"gated": False}, 123_492),
    ("lda_aqu", {}, 58_376),
    ("freqfusion", {}, 144_520),
    ("freqfusion", {"resample": True}, 353_224),
    ("resfu", {}, 155_464),
    ("jbu", {}, 65_432),
    ("blur", {}, 0),
    ("constant_kernel", {}, 144),
    ("indexnet", {}, 12_263_424),
    ("a2u", {"mode": "static", "sharing": "channel_wise", "pointwise": True}, 102_436),
    ("a2u", {"mode": "static", "sharing": "channel_wise"}, 25_744),
    ("a2u", {"mode": "hybrid", "sharing": "channel_wise"}, 44_176),
    ("a2u", {"mode": "hybrid"}, 18_776),
    ("a2u", {"sharing": "channel_wise"}, 199_824),
    ("a2u", {}, 19_608),
    ("a2u", {"paired": True}, 38_184),
    ("a2u", {"paired": True, "normalise_uv": True}, 40_232),
]


@pytest.mark.parametrize(("name", "options", "expected"), ADDED)
def test_added_parameters(name, options, expected):
    added = sum(
        parameter.numel()
        for channels in STAGES
        for parameter in build_upsampler(name, channels, **options).parameters()
    )
    assert added == expected
