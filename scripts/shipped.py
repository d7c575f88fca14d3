"""The model in the package beside classic systems: python scripts/shipped.py photographs=DIR

Its own keys are those of ShippedConfig in src/a2u/config.py; everything else is handed to each evaluation.
"""

import sys

from a2u.config import ShippedConfig, split_command_line
from a2u.engine.main import sentence
from a2u.reproduce.shipped import make

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        make(*split_command_line(sys.argv[1:], ShippedConfig, "shipped"))
