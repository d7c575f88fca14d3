"""Measure time and memory of every part against a plain formulation: python scripts/bench.py parts=[reassembly]

Its keys are those of BenchConfig in src/a2u/config.py.
"""

import sys

from a2u.config import BenchConfig, split_command_line
from a2u.engine.main import sentence
from a2u.errors import ConfigError

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        settings, rest = split_command_line(sys.argv[1:], BenchConfig, "bench")
        if rest:
            raise ConfigError(f"unknown: {', '.join(rest)}; allowed are parts, name, outputs and publish.")
        from a2u.bench.report import bench  # after the keys are checked: it takes a while

        sys.exit(bench(settings))
