"""Measure time and memory of every part against a plain formulation.

Examples:
    python -m scripts.bench
    python -m scripts.bench parts=[reassembly,metrics]
    python -m scripts.bench publish=true
"""

import sys

from omegaconf import OmegaConf

from a2u.cli.main import print_help, user_errors
from a2u.config import compose
from scripts.bench.report import bench

if __name__ == "__main__":
    if print_help(__doc__, "bench"):
        sys.exit()
    with user_errors():
        settings = OmegaConf.to_object(compose(sys.argv[1:], "bench"))
        sys.exit(bench(settings))
