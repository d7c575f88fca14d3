"""Measure anybody's alphas by the four metrics of the paper, exactly as its MATLAB program does.

Files of the same name belong together. `<fg>_<k>`, as in Composition-1k, may also belong to the truth or trimap
`<fg>`. Where the three share a folder, or no names agree, endings _pred, _alpha and _trimap are left out of the names.

Examples:
    python scripts/measure.py predictions=DIR truth=DIR trimaps=DIR
    python scripts/measure.py predictions=DIR dataset=adobe dataset.root=DIR
    python scripts/measure.py predictions=DIR truth=DIR trimaps=DIR program=released_python

The exit status is 1 if something is missing, misnamed or cannot be used.
"""

import sys

from omegaconf import DictConfig

from a2u.apply.measure import TEXTS, measure
from a2u.cli.main import main
from a2u.reproduce.render import measured


def work(cfg: DictConfig) -> None:
    found = measure(cfg)
    print(measured(found.metrics))
    print(f"files: {', '.join(map(str, found.files))}")
    for problem in found.problems:
        print(f"warning: {problem}", file=sys.stderr)
    if found.problems:
        sys.stdout.flush()
        sys.exit(1)


if __name__ == "__main__":
    main("measure", work, TEXTS)
