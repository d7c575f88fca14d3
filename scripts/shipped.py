"""Run `a2u shipped` from a checkout: --help says what it does."""

from a2u.commands import run

run("shipped")
