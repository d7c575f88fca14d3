"""Draw the paper's figures from our own runs: python scripts/figures.py figures=[1,4,5,7] scale=lite jobs=2

Its own keys are those of FiguresConfig in src/a2u/config.py; everything else is handed to every row.
"""

import sys

from a2u.config import FiguresConfig, split_command_line
from a2u.engine.main import sentence
from a2u.reproduce.figures import make_figures

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        sys.exit(make_figures(*split_command_line(sys.argv[1:], FiguresConfig, "figures")))
