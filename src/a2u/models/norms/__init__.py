"""Norms of the paper's networks, and faster or smaller forms of them that compute the same."""
