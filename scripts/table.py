"""Run and print a table: python scripts/table.py table=table2 scale=lite seeds=3 jobs=2"""

import sys

from a2u.engine.main import sentence
from a2u.reproduce.table import command_line, make_table, publish

if __name__ == "__main__":
    with sentence():
        settings, overrides = command_line(sys.argv[1:])
        sys.exit((publish if settings.publish else make_table)(settings, overrides))
