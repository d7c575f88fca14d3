"""Run `a2u table` from a checkout: --help says what it does."""

from a2u.commands import run

run("table")
