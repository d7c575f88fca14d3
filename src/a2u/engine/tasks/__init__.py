"""Tasks: what a network is trained for, with its data, training step and metrics."""
