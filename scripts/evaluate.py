"""Run `a2u evaluate` from a checkout: --help says what it does."""

from a2u.commands import run

run("evaluate")
