"""The model in the package: a2u.safetensors, as scripts/export.py writes it."""

from pathlib import Path

from a2u.models.weights.files import WeightsError


def shipped_weights() -> Path:
    """Return the weights file of the model in the package. Raises WeightsError where the package lacks it."""
    path = Path(__file__).with_name("a2u.safetensors")
    if not path.is_file():
        raise WeightsError(
            f"the model of the package is not there ({path}): give weights=FILE, a checkpoint or an exported file, or "
            "system=closed_form, which needs none."
        )
    return path
