"""Draw the paper's figures from our own rows; those that are not done are run.

Examples:
    python scripts/figures.py scale=lite jobs=2
    python scripts/figures.py figures=[1,5]
    python scripts/figures.py figures=[6] photographs=DIR systems=[knn,gca]

Keys of scripts/train.py may be given, too, and are handed to every row.
"""

import sys

from a2u.cli.main import GOES_ON, print_help, user_errors
from a2u.config import split_command_line
from a2u.reproduce.figures import make_figures
from a2u.reproduce.figures.columns import FiguresConfig

if __name__ == "__main__":
    if print_help(__doc__, "figures"):
        sys.exit()
    with user_errors(GOES_ON):
        sys.exit(make_figures(*split_command_line(sys.argv[1:], FiguresConfig, "figures")))
