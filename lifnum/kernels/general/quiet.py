"""The text of what carries a vector of neurons over steps in which none of them may spike.

Of a model and a method: `quiet` walks to the first sub-interval in which a neuron may spike or
leaves all bounds, and `quiet_back` carries the adjoint back over those that `quiet` walked. Every
lane is rounded as `walk` rounds the neuron alone.
"""

from lifnum.kernels.general.expansion import each, expansion, lines_of, tuple_of

HEADER = """\
from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.elementary import at, at_most, chosen, exp, fma, greater, phi, put, reaches
from lifnum.kernels.general.engine import DENSE, LOSE, MAX_ORDER, NONE
from lifnum.kernels.general.lanes import ALL, ARMED, BASE, FLAGGED, LIVE
from lifnum.kernels.vectors import add, load, store, total
from lifnum._compiled.{module} import {names}

EPS = 2.0**-52


"""

STAGES = ("field_of", "field_along_of", "field_transpose_of")
SERIES = ("field_of", "expansion", "jacobian_term")
EXPONENTIAL = ("field_of", "diagonal_of", "field_transpose_of", "diagonal_transpose_of")

WALK = """\
@kernel
def quiet(e, g, first, last):
    p = {p}
    y = {state}
    z, theta = y, load(g.theta, 0, 0)
    live, armed, base = g.word[LIVE], g.word[ARMED], g.word[BASE]
    clocked, dense, recording = e.interpolation == NONE, e.interpolation == DENSE, len(g.states) > 0
    arms = not e.has_reset or (clocked and e.overshoot == LOSE)
    flags, k = 0, first
    while k < last:
        source = g.source[k]
        if source >= 0:
            w = load(g.drive, source, 0)
            y = {jump}
        if recording:
            g.flags[k - base], g.live[k - base] = 0, live
{record}
        h = g.time[k + 1] - g.time[k]
        if not g.tied[k] and not (clocked and h == 0.0):
            z, bound, failed = flow(e, g, p, y, h, live)
            end = z[{v}]
            size = {sum}
            rest = size - size  # not a number where the state is not finite
            if clocked:
                bound = end
            else:
                bound = greater(bound, end) if dense else end
                if source >= 0 or k == first:  # else it was below after the last one
                    bound = greater(bound, y[{v}])
            above = reaches(bound + rest, theta)
            if arms:
                above = (above & armed) | reaches(rest, 1.0)
            flags = (above | failed) & live
            if arms:
                armed |= ~(reaches(end, theta) | flags) & ALL
            if flags != 0:
                if recording:
                    g.flags[k - base] = flags
                break
            y = z
        k += 1
{store}
    g.word[ARMED], g.word[FLAGGED] = armed, flags
    return k


@kernel
def quiet_back(e, g, b, first, last):
    p = {p}
    lam = {lam}
    base, timed = g.word[BASE], len(b.d_points) > 0
    k = last
    while k > first:
        k -= 1
        flags = g.flags[k - base]
        mine = g.live[k - base] & ~flags
        after = g.live[k - base + 1]
        lam = {lam_after}
        if flags != 0:
{store_before}
        y = {recorded}
        h = g.time[k + 1] - g.time[k]
        if not g.tied[k]:
            wanted = timed and (g.source[k] >= 0 or g.source[k + 1] >= 0)
            lam, rise = pull(e, g, b, p, y, h, lam, wanted, mine)
            if wanted:
                f = total(chosen(mine, rise, 0.0))
                b.d_points[k + 1] += f
                b.d_points[k] -= f
        lam = {lam_mine}
        if flags != 0:
{store_lam}
            return k
        source = g.source[k]
        if source >= 0:
            w = load(g.drive, source, 0)
            add(b.d_drive, source, 0, {input})
{store_lam_end}
    return first - 1
"""


def _walks(n, n_p, v, inputs):
    positive, negative = inputs
    jump = [f"y[{i}]" for i in range(n)]
    jump[positive] += " + " + ("w" if positive == negative else "greater(w, 0.0)")
    given = f"lam[{positive}]"
    if positive != negative:
        jump[negative] += " + greater(-w, 0.0)"
        given = f"chosen(reaches(w, 0.0), lam[{positive}], -lam[{negative}])"
    return WALK.format(
        p=each(n_p, "load(g.p, #, 0)"),
        state=each(n, "load(g.state, #, 0)"),
        jump=tuple_of(jump),
        record=lines_of(n, "put(g.states, k - base, #, y[#])", 12),
        v=v,
        sum=" + ".join(f"z[{i}]" for i in range(n)),
        store=lines_of(n, "store(g.state, #, 0, y[#])", 4) + "\n"
        + lines_of(n, "store(g.end, #, 0, z[#])", 4),
        lam=each(n, "load(b.lam, #, 0)"),
        lam_after=each(n, "chosen(after, lam[#], 0.0)"),
        store_before=lines_of(n, "store(b.before, #, 0, lam[#])", 12),
        recorded=each(n, "at(g.states, k - base, #)"),
        lam_mine=each(n, "chosen(mine, lam[#], 0.0)"),
        store_lam=lines_of(n, "store(b.lam, #, 0, lam[#])", 12),
        input=given,
        store_lam_end=lines_of(n, "store(b.lam, #, 0, lam[#])", 4),
    )  # fmt: skip


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
def root_alone(p, y, theta, guess, high, found, out):
    low, top, s = 0.0, high, guess
    before = missed = slope = bend = 0.0  # the guess before, what it missed, and the slope there
    for turn in range(200):
        if not low < s < top:
            s = 0.5 * (low + top)
            if not low < s < top:
                break
        z, start, bound = ahead(p, y, s)
        missing = theta - z[{v}]
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
        if not slope > 0.0 or (turn > 8 and turn % 2 == 1):  # or Newton hardly moves
            before, missed, s = s, missing, 0.5 * (low + top)
            continue
        change = missing / slope
        error = abs(change) if exact else abs(change * bend * (s - before))
        settled = turn > 0 and error <= 2.0 * EPS * s
        before, missed = s, missing
        s += change
        if settled or missing == 0.0:
            break
    s = min(max(s, 0.0), high)
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
        fill=", ".join(f"out[{m}]" for m in range(n)) + ",",
        dot=" + ".join(f"lam[{m}] * rate[{m}]" for m in range(n)),
    )  # fmt: skip


SERIES_TEXT = """\
@inlined_kernel
def flow(e, g, p, y, h, live):
    r = g.series
    order, failed = expansion(p, y, h, e.order, e.tolerance, r, g.reach, live)
    z = {top}
    size = abs(z[{v}])
    bend = float(order * (order - 1)) * greater(-z[{v}], 0.0)
    for k in range(order - 1, -1, -1):
        c = {coefficients}
        z = {add}
        size = size + abs(c[{v}])
        bend = bend + float(k * (k - 1)) * greater(-c[{v}], 0.0)
    bound = (greater(y[{v}], z[{v}]) + 0.125 * bend) + 8.0 * EPS * size
    return z, bound, failed


@inlined_kernel
def pull(e, g, b, p, y, h, lam, wanted, live):
    r = g.series
    order, failed = expansion_all(p, y, h, e.order, e.tolerance, r, g.reach, live)
    rise = 0.0 * lam[0]
    if wanted and h > 0.0:
        for k in range(order, 0, -1):
            rise = rise + float(k) * ({dot})
        rise = rise / h
    elif wanted:
        rate = field_of(p, y)
        rise = {dot_rate}
    adaptive = e.tolerance > 0.0
    tail = lam
    if adaptive:
        reach = g.reach[order]
        tail = {reached}
    for k in range(order - 1, -1, -1):
        step = h / (k + 1)
        weight = {weights}
{put_weights}
        tail = lam
        if adaptive and k > 0:
            reach = g.reach[k]
            tail = {reached}
{gather}
        tail = {gathered}
    return tail, rise


"""


def series(n, v, entries):
    """Text of `flow` and `pull` for power series; entries: of `source.Source`."""
    gather = lines_of(n, "total# = tail[#]", 8).splitlines()
    varying = []
    for i, j, row, constant in entries.tolist():
        if constant:
            gather.append(f"        total{j} = fma(at(r, {row}, 0), weight[{i}], total{j})")
        else:
            varying.append(
                f"            total{j} = fma(at(r, {row}, m - k), at(b.tail, {i}, m), total{j})"
            )
    if varying:
        gather += ["        for m in range(k, order):", *varying]
    return "".join([
        expansion("expansion_all", "jacobian_term", n),
        SERIES_TEXT.format(
            v=v, top=each(n, "at(r, #, order)"), coefficients=each(n, "at(r, #, k)"),
            add=each(n, "z[#] + c[#]"),
            dot=" + ".join(f"lam[{i}] * at(r, {i}, k)" for i in range(n)),
            dot_rate=" + ".join(f"lam[{i}] * rate[{i}]" for i in range(n)),
            reached=each(n, "chosen(reach, lam[#], 0.0)"),
            weights=each(n, "step * tail[#]"),
            put_weights=lines_of(n, "put(b.tail, #, k, weight[#])", 8),
            gather="\n".join(gather), gathered=each(n, "total#"),
        ),
    ])  # fmt: skip


EXPONENTIAL_TEXT = """\
@inlined_kernel
def flow(e, g, p, y, h, live):
    f, d = field_of(p, y), diagonal_of(p, y)
    z = {end}
    return z, z[{v}], 0


@inlined_kernel
def pull(e, g, b, p, y, h, lam, wanted, live):
    f, d = field_of(p, y), diagonal_of(p, y)
    rise = 0.0 * lam[0]
    if wanted:
        rise = {dot}
    x = {decays}
    one = {one}
    along = field_transpose_of(p, y, {first})
    bent = diagonal_transpose_of(p, y, {second})
    return {sum}, rise


"""


def exponential(n, v):
    """Text of `flow` and `pull` for exponential Euler."""
    return EXPONENTIAL_TEXT.format(
        end=each(n, "fma(h * f[#], phi(1, h * d[#]), y[#])"), v=v,
        dot=" + ".join(f"lam[{i}] * (f[{i}] * exp(h * d[{i}]))" for i in range(n)),
        decays=each(n, "h * d[#]"), one=each(n, "phi(1, x[#])"),
        first=each(n, "lam[#] * (h * one[#])"),
        second=each(n, "lam[#] * (h * h) * (f[#] * (one[#] - phi(2, x[#])))"),
        sum=each(n, "lam[#] + along[#] + bent[#]"),
    )  # fmt: skip


def text(module, names, walks, method):
    """The whole text: names of a model's `module` are imported; walks: arguments of `_walks`."""
    header = HEADER.format(module=module, names=", ".join(names))
    return header + method + _walks(*walks)
