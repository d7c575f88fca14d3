"""Write the tables to one HTML page.

Examples:
    python scripts/report.py
    python scripts/report.py source=outputs
"""

import sys
from dataclasses import fields

from a2u.cli.main import print_help, user_errors
from a2u.config import split_command_line
from a2u.errors import ConfigError, did_you_mean
from a2u.reproduce.html_report.make import ReportConfig

if __name__ == "__main__":
    if print_help(__doc__, "report"):
        sys.exit()
    with user_errors():
        settings, rest = split_command_line(sys.argv[1:], ReportConfig, "report")
        if rest:
            allowed = [entry.name for entry in fields(ReportConfig)]
            suggestion = did_you_mean(rest[0].partition("=")[0], allowed)
            raise ConfigError(f"unknown: {', '.join(rest)}; allowed are {', '.join(allowed)}.{suggestion}")
        from a2u.reproduce.html_report import make_page  # after the keys are checked: it takes a while

        print(make_page(settings))
