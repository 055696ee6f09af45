"""Where inside a step a spike is: names of the ways, and their codes for the kernels."""

NONE, LINEAR, DENSE = range(3)

INTERPOLATIONS = {"none": NONE, "linear": LINEAR, "dense": DENSE}
