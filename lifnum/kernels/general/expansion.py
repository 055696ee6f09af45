"""The text of a power series of a model's state, to a fixed order or to a tolerance."""

TEXT = """\
@inlined_kernel
def {name}(p, y, h, order, tolerance, r, reach, live, rests):
{begin}
    if not tolerance > 0.0:
        for k in range(order):
            {term}(p, r, k, h)
        return order, 0
    scale = {scale}
    active, before, moved = live, 0, live if rests else 0
    for k in range(MAX_ORDER):
        {term}(p, r, k, h)
        new = {new}
        if active != live:  # some have all their terms
            new = {masked}
{keep}
        reach[k + 1] = active
        size = {size}
        fine = at_most({worst}, 0.0)
        scale = {larger}
        if not rests:
            moved |= ~at_most({total}, 0.0)
            fine &= moved
        active &= ~(fine & before)
        before = fine
        if active == 0:
            return k + 1, 0
    return MAX_ORDER, active & moved


"""

# of one neuron alone
ALONE = """\
@kernel
def expand(p, y, h, order, tolerance, r, reach):
    n, failed = expansion(p, y, h, order, tolerance, r, reach, 1, False)
    return n if failed == 0 else -1
"""


def tuple_of(items):
    """Code of a tuple."""
    return f"({', '.join(items)},)"


def each(n, text):
    """Code of a tuple of what a text gives for every variable #."""
    return tuple_of(text.replace("#", str(i)) for i in range(n))


def lines_of(n, text, indent):
    """A line of code for every variable #."""
    return "\n".join(" " * indent + text.replace("#", str(i)) for i in range(n))


def expansion(name, term, n):
    """Text of the function `name`: fills r, of one neuron or a vector, by the function `term`.

    Returns (highest order, lanes that did not converge). With a tolerance > 0 terms are added until
    two in turn are at most that times the largest term of their variable so far, the state's own
    value included; those of a lane beyond its order are zero, and reach[k] are the lanes that have
    one of order k. live: the lanes that count. rests: whether a lane that nothing moves has all its
    terms, as it has for values; for derivatives, whose terms go on, it has all orders.
    """
    worst = "fma(-tolerance, scale[0], size[0])"
    for i in range(1, n):
        worst = f"greater({worst}, fma(-tolerance, scale[{i}], size[{i}]))"
    return TEXT.format(
        name=name, term=term,
        begin=lines_of(n, "put(r, #, 0, y[#])", 4),
        scale=each(n, "abs(y[#])"),
        new=each(n, "at(r, #, k + 1)"),
        masked=each(n, "chosen(active, new[#], 0.0)"),
        keep=lines_of(n, "put(r, #, k + 1, new[#])", 12),
        size=each(n, "abs(new[#])"),
        worst=worst,
        total=" + ".join(f"size[{i}]" for i in range(n)),
        larger=each(n, "greater(scale[#], size[#])"),
    )  # fmt: skip
