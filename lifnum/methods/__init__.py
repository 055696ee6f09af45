"""Numerical methods for neurons given by equations, one file a family.

A method is a map: the state y after a step of length s, its derivative by s, and the transpose of
its derivative by y. Symbols: e the `Engine`; p numbers of a neuron, y its state, room rows of
scratch; h the length that a step was planned for, s <= h the length in question.
"""
