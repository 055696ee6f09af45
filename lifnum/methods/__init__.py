"""Numerical methods: the formulas of one step."""
