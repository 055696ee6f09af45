"""Other frameworks on the same work: scripts that run in environments without lifnum."""
