"""Compare the model in the package with closed-form and KNN matting on photographs of alphamatting.com.

Examples:
    python scripts/shipped.py photographs=DIR
    python scripts/shipped.py photographs=DIR publish=true
    python scripts/shipped.py validation=DIR publish=true

The last measures on the validation set that chooses the default of scripts/predict.py. Further keys are those of
scripts/evaluate.py.
"""

import sys

from a2u.cli.main import print_help, user_errors
from a2u.config import split_command_line
from a2u.reproduce.shipped import ShippedConfig, make

if __name__ == "__main__":
    if print_help(__doc__, "shipped"):
        sys.exit()
    with user_errors():
        make(*split_command_line(sys.argv[1:], ShippedConfig, "shipped"))
