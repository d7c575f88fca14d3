"""Weights files: read safely, released names, export."""
