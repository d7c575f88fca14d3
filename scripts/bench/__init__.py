"""Speed and memory: every part next to a plain formulation of the same, measured in one run.

One module per part, with a function `lines()`; the plain formulation is in the same file.
"""
