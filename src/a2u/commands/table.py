"""Run the rows of a table that are not done, and print it.

Examples:
    python scripts/table.py table=table2 scale=lite jobs=2
    python scripts/table.py table=table2 rows=[nearest,a2u_dynamic_cs] seeds=3 baseline=nearest
    python scripts/table.py table=table2 dataset=adobe dataset.root=DIR scale=paper launcher=submitit
    python scripts/table.py table=table2 test=alphamatting photographs=DIR
    python scripts/table.py table=table2 ablate=true

Further keys are those of scripts/train.py, for every row.
"""

import sys

from a2u.cli.main import RESUMES, print_help, user_errors
from a2u.reproduce.ablation import ablate_table, publish_ablation
from a2u.reproduce.table import command_line, make_table, publish

if __name__ == "__main__":
    if print_help(__doc__, "table"):
        sys.exit()
    with user_errors(RESUMES):
        settings, overrides = command_line(sys.argv[1:])
        make, copy = (ablate_table, publish_ablation) if settings.ablate else (make_table, publish)
        sys.exit((copy if settings.publish else make)(settings, overrides))
