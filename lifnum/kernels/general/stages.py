"""The text of a step of an explicit Runge-Kutta method, written out for its tableau.

Of tuples of numbers or of vectors: one neuron's step alone, and `flow` and `pull` for `quiet`.
"""

from lifnum.kernels.general.expansion import tuple_of


def _weighted(terms):
    """Code of the sum of (coefficient, code of a value), or None of nothing.

    Values of one coefficient are added first: a sum costs less than a product.
    """
    sums = {}
    for coefficient, value in terms:
        if coefficient != 0.0:
            sums[coefficient] = f"{sums[coefficient]} + {value}" if coefficient in sums else value
    code = None
    for coefficient, value in sums.items():
        if code is None:
            code = f"({value})" if coefficient == 1.0 else f"{coefficient!r} * ({value})"
        else:
            code = f"fma({coefficient!r}, {value}, {code})"
    return code


STAGES_TEXT = """\
@inlined_kernel
def stages(p, y, h):
{stages}
    return {points}, {slopes}


@inlined_kernel
def ahead(p, y, h):
    points, k = stages(p, y, h)
    return {ends}, k[0][{v}], {bound}


@inlined_kernel
def turned(p, h, points, k):
{along}
    return {rates}


@inlined_kernel
def pulled(p, h, points, lam):
{back}
    return {moved}


@kernel
def flow_alone(p, y, h, rise, out):
    z, rise[0], rise[1] = ahead(p, y, h)
    {fill} = z
    return len(p)


@kernel
def rate_alone(p, y, h, out):
    points, k = stages(p, y, h)
    {fill} = turned(p, h, points, k)
    return len(p)


@kernel
def pull_alone(p, y, h, lam, out):
    points, k = stages(p, y, h)
    {fill} = pulled(p, h, points, lam)
    return len(p)


@kernel
def moves_alone(p, y, h, lam, end, rate, out):
    points, k = stages(p, y, h)
    z = {ends}
    turn, back = turned(p, h, points, k), pulled(p, h, points, lam)
    {fill_end} = z
    {fill_rate} = turn
    {fill} = back
    return len(p)


@kernel
def root_alone(p, y, theta, guess, high, found, out):
    low, top, s = 0.0, high, guess
    before = missed = slope = bend = 0.0  # the guess before, what it missed, and the slope there
    level = 8.0 * EPS * (abs(theta) + abs(y[{v}]))
    settled = False  # by an estimate that a point far above misleads: the next must miss less, too
    for turn in range(200):
        if settled:
            s = min(max(s, 0.0), high)
        elif not low < s < top:
            s = 0.5 * (low + top)
            if not low < s < top:
                z, start, bound = ahead(p, y, s)
                break
        z, start, bound = ahead(p, y, s)
        missing = theta - z[{v}]
        if settled and abs(missing) <= max(0.5 * abs(missed), level):
            break
        if missing <= 0.0:
            top = s
        else:
            low = s
        exact = turn > 4
        if turn == 0:  # the field is nearly the slope
            slope = field_of(p, z)[{v}]
        elif exact:
            points, k = stages(p, y, s)
            slope = turned(p, s, points, k)[{v}]
        else:
            secant = (missed - missing) / (s - before)
            bend = abs((secant - slope) / (secant * (s - before)))
            slope = secant
        if settled or not slope > 0.0 or (turn > 8 and turn % 2 == 1):  # or Newton hardly moves
            before, missed, s, settled = s, missing, 0.5 * (low + top), False
            continue
        change = missing / slope
        error = abs(change) if exact else abs(change * bend * (s - before))
        settled = (turn > 0 and error <= 2.0 * EPS * s) or missing == 0.0
        before, missed = s, missing
        s += change
    else:
        z, start, bound = ahead(p, y, s)
    {fill} = z
    found[0] = s
    return len(p)


@inlined_kernel
def flow(e, g, p, y, h, live):
    z, slope, bound = ahead(p, y, h)
    return z, bound, 0


@inlined_kernel
def pull(e, g, b, p, y, h, lam, wanted, live):
    points, k = stages(p, y, h)
    rise = 0.0 * lam[0]
    if wanted:
        rate = turned(p, h, points, k)
        rise = {dot}
    return pulled(p, h, points, lam), rise


"""


def _points(n, a):
    """Code of a step's stages: where each looks at the field, y0, y1, ..., and what it finds."""
    lines = []
    for i, row in enumerate(a):
        codes = []
        for m in range(n):
            code = f"y[{m}]"
            for j in range(i):
                if row[j] != 0.0:
                    code = f"fma(h * {row[j]!r}, k{j}[{m}], {code})"
            codes.append(code)
        lines += [f"    y{i} = {tuple_of(codes)}", f"    k{i} = field_of(p, y{i})"]
    return "\n".join(lines)


def _bound(v, b):
    """Code of what the threshold variable cannot rise above: its fastest stage for the whole step.

    The mean of a shorter step's stages lies between theirs and the field's at the start.
    """
    slopes = [f"k[{i}][{v}]" for i in range(len(b))]
    if min(b) < 0.0:
        slopes = [f"abs({slope})" for slope in slopes]
    largest = slopes[0]
    for slope in slopes[1:]:
        largest = f"greater({largest}, {slope})"
    factor = f"h * {sum(abs(x) for x in b)!r}" if min(b) < 0.0 else "h"
    return f"fma({factor}, {largest}, y[{v}])"


def _along(n, a):
    """Code of the derivatives of the stages by h: t1, t2, ... of those that have one; which."""
    lines, moving = [], []
    for i, row in enumerate(a):
        codes = []
        for m in range(n):
            slope = _weighted([(row[j], f"k[{j}][{m}]") for j in range(i)])
            turn = _weighted([(row[j], f"t{j}[{m}]") for j in moving])
            codes.append(f"fma(h, {turn}, {slope})" if turn else slope)
        if codes[0] is not None:
            lines.append(f"    t{i} = field_along_of(p, points[{i}], {tuple_of(codes)})")
            moving.append(i)
    return "\n".join(lines), moving


def _back(n, a, b):
    """Code of the adjoints of the stages, g3, g2, ...; which there are."""
    lines, moved = [], []
    for i in reversed(range(len(b))):
        codes = [
            _weighted([(b[i], f"lam[{m}]"), *((a[j][i], f"g{j}[{m}]") for j in moved)])
            for m in range(n)
        ]
        if codes[0] is not None:
            weights = tuple_of(f"h * ({code})" for code in codes)
            lines.append(f"    g{i} = field_transpose_of(p, points[{i}], {weights})")
            moved.append(i)
    return "\n".join(lines), sorted(moved)


def stages(n, v, a, b):
    """Text of `flow` and `pull`, and of one neuron's step alone, for a tableau."""
    a, b, size = a.tolist(), b.tolist(), len(b)
    along, moving = _along(n, a)
    back, moved = _back(n, a, b)
    ends, rates = [], []
    for m in range(n):
        mean = _weighted([(b[i], f"k[{i}][{m}]") for i in range(size)])
        turn = _weighted([(b[i], f"t{i}[{m}]") for i in moving])
        ends.append(f"fma(h, {mean}, y[{m}])")
        rates.append(f"fma(h, {turn}, {mean})" if turn else mean)
    return STAGES_TEXT.format(
        stages=_points(n, a), points=tuple_of(f"y{i}" for i in range(size)),
        slopes=tuple_of(f"k{i}" for i in range(size)), ends=tuple_of(ends), v=v, bound=_bound(v, b),
        along=along, rates=tuple_of(rates), back=back,
        moved=tuple_of(
            " + ".join([f"lam[{m}]", *(f"g{i}[{m}]" for i in moved)]) for m in range(n)
        ),
        **{name: "".join(f"{array}[{m}], " for m in range(n)).rstrip()
           for name, array in (("fill", "out"), ("fill_end", "end"), ("fill_rate", "rate"))},
        dot=" + ".join(f"lam[{m}] * rate[{m}]" for m in range(n)),
    )  # fmt: skip
