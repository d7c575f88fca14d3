"""Run `a2u predict` from a checkout: --help says what it does."""

from a2u.commands import run

run("predict")
