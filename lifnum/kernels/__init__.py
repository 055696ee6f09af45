"""Compiled loops over steps, neurons and samples."""
