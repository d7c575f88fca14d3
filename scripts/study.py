"""Carry out the open study of docs/study.md: train every row with every seed, then measure all on the test images.

Examples:
    python scripts/study.py
    python scripts/study.py scale=study_large photographs=DIR
    python scripts/study.py pilots=true
    python scripts/study.py publish=true
    python scripts/study.py report=true

What is not done is done; a killed call goes on where it was. Besides the keys below, scale=study or study_large and
runtime.KEY=VALUE (scripts/train.py --help) may be given; the protocol fixes everything else.
"""

import sys

from a2u.cli.main import GOES_ON, print_help, user_errors
from a2u.config import split_command_line
from a2u.reproduce.study.protocol import StudyConfig

if __name__ == "__main__":
    if print_help(__doc__, "study"):
        sys.exit()
    with user_errors(GOES_ON):
        settings, overrides = split_command_line(sys.argv[1:], StudyConfig, "study")
        from a2u.reproduce.study.command import study  # after the keys are checked: it takes a while

        sys.exit(study(settings, overrides))
