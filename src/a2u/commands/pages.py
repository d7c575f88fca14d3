"""Render the pages of the committed results: in results/, the README and docs/.

Examples:
    python scripts/pages.py
"""

import sys

from a2u.cli.main import user_errors
from a2u.reproduce.pages import make_pages

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    with user_errors():
        make_pages()
