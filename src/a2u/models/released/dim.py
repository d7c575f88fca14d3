"""Names of the Deep Image Matting network released with IndexNet Matting."""

from collections.abc import Mapping

from torch import Tensor, nn

from a2u.models.networks.base import MattingNetwork
from a2u.models.networks.dim import DIM


def network(given: Mapping[str, Tensor]) -> MattingNetwork:
    return DIM()


def sources(model: nn.Module) -> dict[str, list[str]]:
    """Return the released name of every tensor of our network but batch counters."""
    return {key: [_theirs(key)] for key in model.state_dict() if not key.endswith("num_batches_tracked")}


def _theirs(key: str) -> str:
    module, _, tensor = key.rpartition(".")
    if module.startswith("encoder.stages."):
        stage, position = map(int, module.split(".")[2:])
        layer, kind = divmod(position, 3)  # convolution, norm, activation
        return f"{('conv', 'bn')[kind]}{stage + 1}{layer + 1}.{tensor}"
    if module.startswith("decoder."):
        return f"dconv{5 - int(module.split('.')[1])}.{tensor}"
    return {"encoder.fc6": "conv6", "reduce": "dconv6", "prediction": "alpha_pred"}[module] + f".{tensor}"
