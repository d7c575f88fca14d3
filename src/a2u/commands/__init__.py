"""The commands: `a2u predict ...` of the installed package is `python scripts/predict.py ...` in a checkout."""

import pkgutil
import runpy
import sys

from a2u.errors import MissingPackageError, did_you_mean, needs_experiments


def main() -> None:
    """Run the command that the first word of the command line names."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    given = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if given in ("-h", "--help"):
        print(f"a2u COMMAND KEY=VALUE ...\na2u COMMAND --help\n\nCommands: {', '.join(names)}")
    elif given in names:
        run(given)
    else:
        suggestion = did_you_mean(given, names)
        print(f"error: there is no command {given!r}; there are: {', '.join(names)}.{suggestion}", file=sys.stderr)
        sys.exit(2)


def run(name: str) -> None:
    """Run a command with the words of the command line.

    If its imports, which take seconds, are interrupted or lack a package, a sentence says so.
    """
    try:
        with needs_experiments(f"a2u {name}"):
            runpy.run_module(f"{__name__}.{name}", run_name="__main__", alter_sys=True)
    except MissingPackageError as error:
        print(f"error: {error}.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit("stopped")
