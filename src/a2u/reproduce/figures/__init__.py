"""The paper's Figures 1, 4, 5, 6 and 7, from checkpoints of our own runs."""

from a2u.reproduce.figures.make import make_figures

__all__ = ["make_figures"]
