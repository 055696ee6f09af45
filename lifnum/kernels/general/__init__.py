"""The passes of neurons that are given by equations, whatever their model and method."""
