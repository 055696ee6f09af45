"""Where inside a step a spike is: names of the ways, and their codes for the kernels."""

NONE, LINEAR, DENSE = range(3)

INTERPOLATIONS = {"none": NONE, "linear": LINEAR, "dense": DENSE}

# what a neuron does under `none` that is still at or above its threshold after a spike
AGAIN, SEVERAL, LOSE = range(3)

OVERSHOOTS = {"again": AGAIN, "several": SEVERAL, "lose": LOSE}
