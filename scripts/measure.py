"""Run `a2u measure` from a checkout: --help says what it does."""

from a2u.commands import run

run("measure")
