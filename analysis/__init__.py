"""Scripts that read traces and draw figures: python -m analysis.<name>."""
