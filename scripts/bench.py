"""Measure time and memory of every part against a plain formulation.

Examples:
    python scripts/bench.py
    python scripts/bench.py parts=[reassembly,metrics]
    python scripts/bench.py publish=true
"""

import sys
from dataclasses import fields

from a2u.cli.main import print_help, user_errors
from a2u.config import BenchConfig, split_command_line
from a2u.errors import ConfigError, did_you_mean

if __name__ == "__main__":
    if print_help(__doc__, "bench"):
        sys.exit()
    with user_errors():
        settings, rest = split_command_line(sys.argv[1:], BenchConfig, "bench")
        if rest:
            allowed = [entry.name for entry in fields(BenchConfig)]
            suggestion = did_you_mean(rest[0].partition("=")[0], allowed)
            raise ConfigError(f"unknown: {', '.join(rest)}; allowed are {', '.join(allowed)}.{suggestion}")
        from a2u.bench.report import bench  # after the keys are checked: it takes a while

        sys.exit(bench(settings))
