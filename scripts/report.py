"""Write the tables as one page for a browser: python scripts/report.py source=outputs

Its keys are those of ReportConfig in src/a2u/config.py.
"""

import sys

from a2u.config import ReportConfig, split_command_line
from a2u.engine.main import sentence
from a2u.errors import ConfigError

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        settings, rest = split_command_line(sys.argv[1:], ReportConfig, "report")
        if rest:
            raise ConfigError(f"unknown: {', '.join(rest)}; allowed are source, outputs and folder.")
        from a2u.reproduce.page import make_page  # after the keys are checked: it takes a while

        print(make_page(settings))
