"""A study: the tables of its files, their statistics, and both as text."""
