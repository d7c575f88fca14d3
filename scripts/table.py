"""Run and print a table: python scripts/table.py table=table2 scale=lite seeds=3 jobs=2

Its own keys are those of TableConfig in src/a2u/config.py; everything else is handed to every row.
"""

import sys

from a2u.engine.main import sentence
from a2u.reproduce import benchmark, table

# Tables that are made in another way than most: each module has make_table and publish.
OTHERS = {"table6": benchmark}

if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(__doc__)
    with sentence():
        settings, overrides = table.command_line(sys.argv[1:])
        module = OTHERS.get(settings.table, table)
        sys.exit((module.publish if settings.publish else module.make_table)(settings, overrides))
