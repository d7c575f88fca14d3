"""Install extras of pyproject.toml of which a package is missing.

Examples:
    python scripts/require.py experiments figures

make calls it before anything is installed, so it only uses the standard library. The user's own environment is
otherwise left as it is; .venv gets the versions of constraints.txt.
"""

import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {  # what a package is imported as, where that is not its name
    "axe-core-python": "axe_core_python",
    "codespell": "codespell_lib",
    "hydra-core": "hydra",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pytest-xdist": "xdist",
    "scikit-image": "skimage",
}


def missing(extras: list[str]) -> list[str]:
    """Return the packages of `extras` that cannot be imported. Raises KeyError for an extra that does not exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    names = [re.split("[<>=]", line)[0] for line in lines]
    return [name for name in names if find_spec(MODULES.get(name, name)) is None]


if __name__ == "__main__":
    if absent := missing(sys.argv[1:]):
        print(f"installing {', '.join(absent)}, and what they need", file=sys.stderr)
        versions = ["--constraint", "constraints.txt"] if Path(sys.prefix) == ROOT / ".venv" else []
        wanted = f".[{','.join(sys.argv[1:])}]"
        command = [sys.executable, "-m", "pip", "install", "--quiet", *versions, "--editable", wanted]
        sys.exit(subprocess.run(command, cwd=ROOT).returncode)
