"""Runs: their configuration, training, evaluation and transfer."""
