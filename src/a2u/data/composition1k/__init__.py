"""Compose and verify a test set such as Composition-1k."""
