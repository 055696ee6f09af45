"""The same passes on an NVIDIA GPU."""
