"""Run `a2u pages` from a checkout: --help says what it does."""

from a2u.commands import run

run("pages")
