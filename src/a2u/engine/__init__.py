"""Training, evaluation, checkpoints and logs of one run."""
