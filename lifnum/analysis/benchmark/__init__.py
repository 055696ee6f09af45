"""How fast lifnum is, on its own, against the machine and against other frameworks."""
