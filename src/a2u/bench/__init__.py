"""How fast and how small: every part against a plain formulation of the same, side by side in one run.

One module a part, with a function `lines()`; the plain formulations stand in the same file.
"""
