"""Pictures of the generated dataset for the documentation: python scripts/data.py pictures"""

import argparse
from pathlib import Path

from a2u.config import SyntheticConfig
from a2u.data.synthetic.sheet import contact_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pictures = commands.add_parser("pictures", help="contact sheets of the synthetic dataset")
    pictures.add_argument("--folder", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    contact_sheet(arguments.folder, SyntheticConfig(cache=None))


if __name__ == "__main__":
    main()
