"""Compiled passes over many neurons."""
