"""Run `a2u figures` from a checkout: --help says what it does."""

from a2u.commands import run

run("figures")
