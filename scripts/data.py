"""Run `a2u data` from a checkout: --help says what it does."""

from a2u.commands import run

run("data")
