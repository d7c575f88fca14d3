"""Run and print a table: python scripts/table.py table=table2 scale=lite seeds=3 jobs=2

Its own keys are those of TableConfig in src/a2u/config.py; everything else is handed to every row.
"""

import sys

from a2u.engine.main import sentence
from a2u.reproduce.table import command_line, make_table, publish

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        settings, overrides = command_line(sys.argv[1:])
        sys.exit((publish if settings.publish else make_table)(settings, overrides))
