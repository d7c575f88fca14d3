"""Run `a2u report` from a checkout: --help says what it does."""

from a2u.commands import run

run("report")
