"""Draw the paper's figures; run the rows that are missing.

Examples:
    python scripts/figures.py scale=lite jobs=2
    python scripts/figures.py figures=[1,5]
    python scripts/figures.py figures=[6] photographs=DIR systems=[knn,gca]

Further keys are those of scripts/train.py, for every row.
"""

import sys

from a2u.cli.main import RESUMES, print_help, user_errors
from a2u.config import split_command_line
from a2u.reproduce.figures import make_figures
from a2u.reproduce.figures.columns import FiguresConfig

if __name__ == "__main__":
    if print_help(__doc__, "figures"):
        sys.exit()
    with user_errors(RESUMES):
        sys.exit(make_figures(*split_command_line(sys.argv[1:], FiguresConfig, "figures")))
