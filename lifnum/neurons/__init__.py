"""Models of neurons: `model` and `equations` for any, and one file for each built-in model."""
