"""Run `a2u train` from a checkout: --help says what it does."""

from a2u.commands import run

run("train")
