"""Training samples made from layers (Sec. 6.3)."""
