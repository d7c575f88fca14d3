"""Run `a2u export` from a checkout: --help says what it does."""

from a2u.commands import run

run("export")
