"""Data sets as labelled spike trains, and encodings."""
