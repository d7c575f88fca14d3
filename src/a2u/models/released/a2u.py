"""The authors' A2U network: ours with other names, an encoder kernel of 6, paired downsampling, normalised U and V.

U and V are shared over channels ("adobe") or not ("adobe_unshare"); their shapes distinguish them.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.resnet34_unet import MattingUNet

ABN_EPSILON = 1e-5  # in-place ABN scales by |weight| + eps


def network(given: Mapping[str, Tensor]) -> MattingNetwork:
    encoding = given.get("bilinear0.bconv_U.1.weight")
    options = {
        "sharing": "channel_wise" if encoding is not None and encoding.shape[0] > 1 else "channel_shared",
        "encoder_kernel_size": 6,
        "paired": True,
        "normalise_uv": True,
    }
    return MattingUNet("a2u", options)


def variant(model: nn.Module) -> str:
    kernels = model.get_parameter("upsamplers.0.u.conv.weight")  # (1 or C, C, 1, 1)
    return "a2u" if kernels.shape[0] == 1 else "a2u_unshared"


def sources(model: nn.Module) -> dict[str, list[str]]:
    """Return the released name of every tensor of our network but batch counters."""
    modules = _module_names()
    names = {}
    for key in model.state_dict():
        module, _, tensor = key.rpartition(".")
        if tensor != "num_batches_tracked":
            names[key] = [f"{modules[module]}.{tensor}"]
    return names


def adjust(name: str, given: Mapping[str, Tensor]) -> Tensor:
    """In-place ABN's scale becomes batch norm's."""
    value = given[name]
    is_abn_scale = name.endswith(".weight") and name.removesuffix("weight") + "running_mean" in given
    return value.abs() + ABN_EPSILON if is_abn_scale else value


def _module_names() -> dict[str, str]:
    """Our modules that hold tensors -> theirs."""
    names = {"encoder.stem.0": "layer0.0", "encoder.stem.1.0": "layer0.1"}
    for block in range(3):
        names |= _block(f"encoder.layer1.{block}", f"layer1.block{block + 1}.convs")
    for layer in ("layer2", "layer3"):
        ours = f"encoder.{layer}.0"
        names |= {f"{ours}.conv1.0": f"{layer}_1.layer1.conv1", f"{ours}.conv1.1.0": f"{layer}_1.layer1.bn1"}
        names |= {f"{ours}.conv2.0": f"{layer}_1.layer2.conv2", f"{ours}.conv2.1.0": f"{layer}_1.layer2.bn2"}
        names |= _projection(ours, f"{layer}_1")
        for block in range(3):
            names |= _block(f"encoder.{layer}.{block + 1}", f"{layer}_2.block{block + 1}.convs")

    names |= {"aspp.point.0": "dconv_pp.aspp1.atrous_conv.0", "aspp.point.1.0": "dconv_pp.aspp1.atrous_conv.1"}
    for branch in range(3):
        ours, theirs = f"aspp.dilated.{branch}", f"dconv_pp.aspp{branch + 2}.atrous_conv"
        names |= {f"{ours}.0": f"{theirs}.0", f"{ours}.1.0": f"{theirs}.1"}
        names |= {f"{ours}.2": f"{theirs}.2", f"{ours}.3.0": f"{theirs}.3"}
    names |= {"aspp.whole.1.0": "dconv_pp.global_avg_pool.1", "aspp.whole.1.1.0": "dconv_pp.global_avg_pool.2"}
    names |= {"aspp.reduce.0": "dconv_pp.bottleneck_conv.0", "aspp.reduce.1.0": "dconv_pp.bottleneck_conv.1"}

    operators = ("layer3_1.bilinear", "layer2_1.bilinear", "bilinear1", "bilinear0")  # deepest first
    for stage, operator in enumerate(operators):
        shortcut, decoder = f"short{3 - stage}", f"decoder_layer{4 - stage}"
        names |= {f"stages.{stage}.shortcut.0": f"{shortcut}.0", f"stages.{stage}.shortcut.1.0": f"{shortcut}.1"}
        for block, part in enumerate(("dconv", "dconv1")):
            names |= _block(f"stages.{stage}.refine.{block}", f"{decoder}.{part}.dep_sep_conv")
        names |= _projection(f"stages.{stage}.refine.0", f"{decoder}.dconv")
        for ours, theirs in OPERATOR.items():
            names[f"upsamplers.{stage}.{ours}"] = f"{operator}.{theirs}"
    return names | {"prediction.0.0": "pred.0.0", "prediction.0.1.0": "pred.0.1", "prediction.1": "pred.1"}


OPERATOR = {  # the kernel generator's modules in ours -> theirs
    "u.conv": "bconv_U.1",
    "v.conv": "bconv_V.1",
    "p_up.conv": "bconv_UP.1",
    "p_down.conv": "bconv_DP.1",
    "norm_u.0": "bnu.0",
    "norm_v.0": "bnv.0",
}


def _block(ours: str, theirs: str) -> dict[str, str]:
    return {
        f"{ours}.conv1.0": f"{theirs}.conv1",
        f"{ours}.conv1.1.0": f"{theirs}.bn1",
        f"{ours}.conv2.0": f"{theirs}.conv2",
        f"{ours}.conv2.1.0": f"{theirs}.bn2",
    }


def _projection(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.projection.0": f"{theirs}.proj_conv", f"{ours}.projection.1.0": f"{theirs}.proj_bn"}
