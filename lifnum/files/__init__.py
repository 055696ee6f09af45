"""Files: traces, checkpoints and transfer files, and what keeps them whole."""
