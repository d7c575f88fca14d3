"""Write the tables to one HTML page.

Examples:
    python scripts/report.py
    python scripts/report.py source=outputs
"""

import sys

from omegaconf import OmegaConf

from a2u.cli.main import print_help, user_errors
from a2u.config import compose
from a2u.reproduce.html_report.make import ReportConfig, make_page

if __name__ == "__main__":
    if print_help(__doc__, "report"):
        sys.exit()
    with user_errors():
        settings: ReportConfig = OmegaConf.to_object(compose(sys.argv[1:], "report"))  # type: ignore[assignment]
        print(make_page(settings))
