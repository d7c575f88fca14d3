"""Composing and verifying a test set such as Composition-1k."""
