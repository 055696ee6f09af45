"""Kernels of layers of leaky integrate-and-fire neurons."""
