"""The text of what carries a vector of neurons over steps in which none of them may spike.

Of a model and a method: `quiet` walks to the first sub-interval in which a neuron may spike or
leaves all bounds, and `quiet_back` carries the adjoint back over those that `quiet` walked, to one
that lanes walked alone, which it returns with `Back.before` and `lam` set, or first - 1. `leap`
takes neurons that spike once in a sub-interval, on a chord, over that. Every lane is rounded as
`walk` rounds the neuron alone.
"""

from lifnum.kernels.general.expansion import each, expansion, lines_of, tuple_of

HEADER = """\
from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.elementary import at, at_most, chosen, exp, fma, greater, phi, put, reaches
from lifnum.kernels.general.engine import LOSE, MAX_ORDER, NONE, SHORTEST
from lifnum.kernels.general.lanes import ALL, ARMED, BASE, FLAGGED, HOLDS, LIVE
from lifnum.kernels.vectors import add, load, store, total
from lifnum._compiled.{module} import {names}

EPS = 2.0**-52


"""

STAGES = ("field_of", "field_along_of", "field_transpose_of", "reset_of")
SERIES = ("field_of", "expansion", "jacobian_term")
EXPONENTIAL = ("field_of", "diagonal_of", "field_transpose_of", "diagonal_transpose_of", "reset_of")

WALK = """\
@kernel
def quiet(e, g, first, last):
    p = {p}
    y = {state}
    z, theta = y, load(g.theta, 0, 0)
    live, armed, base = g.word[LIVE], g.word[ARMED], g.word[BASE]
    clocked, recording = e.interpolation == NONE, len(g.states) > 0
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
        if g.tied[k] or (clocked and h == 0.0):
            # nothing happens, but that each input may move on its own, and of what is held
            z, flags = y, {held} & live
        else:
            z, bound, failed = flow(e, g, p, y, h, live)
            end = z[{v}]
            size = {sum}
            rest = size - size  # not a number where the state is not finite
            if clocked:
                bound = end
            else:
                bound = end if e.chords else greater(bound, end)
                if source >= 0 or k == first:  # else it was below after the last one
                    bound = greater(bound, y[{v}])
            above = reaches(bound + rest, theta)
            if arms:
                above = (above & armed) | reaches(rest, 1.0)
            flags = (above | failed | {held}) & live
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
        wanted, rise = timed and (g.source[k] >= 0 or g.source[k + 1] >= 0), 0.0 * lam[0]
        if not g.tied[k]:
            lam, rise = pull(e, g, b, p, y, h, lam, wanted, mine)
        elif wanted:
            rate = field_of(p, y)
            rise = {rise}
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


LEAP = """\
@kernel
def leap(gp, bar, state, end, spike, h, flags):
    p = {p}
    y = {state}
    z, theta = {end}, load(bar, 0, 0)
    size = {sum}
    leaps = flags & reaches(z[{v}], theta) & ~reaches(y[{v}], theta) & ~reaches(size - size, 1.0)
    rise, gap = z[{v}] - y[{v}], theta - y[{v}]
    s = chosen(~at_most(rise, gap), h * (gap / rise), h)
    s = chosen(at_most(s, h), s, h)
    rest = greater(h - s, 0.0)
    leaps &= ~at_most(s, 0.0) & ~at_most(rest, 0.0)
    there, bound, failed = flow(0, 0, p, y, s, leaps)
    r = reset_of(p, {crossed})
    r = {reset}
    size = {sum_reset}
    leaps &= ~reaches((size - size) + r[{v}], theta)
    x, bound, failed = flow(0, 0, p, r, rest, leaps)
    size = {sum_after}
    leaps &= ~reaches((size - size) + x[{v}], theta)
    if leaps != 0:
{store}
        store(spike, {n}, 0, s)
    return leaps
"""


def _leap(n, n_p, v):
    return LEAP.format(
        p=each(n_p, "load(gp, #, 0)"), n=n, v=v, state=each(n, "load(state, #, 0)"),
        end=each(n, "load(end, #, 0)"), sum=" + ".join(f"z[{i}]" for i in range(n)),
        crossed=tuple_of("theta" if i == v else f"there[{i}]" for i in range(n)),
        reset=each(n, "chosen(leaps, r[#], z[#])"),
        sum_reset=" + ".join(f"r[{i}]" for i in range(n)),
        sum_after=" + ".join(f"x[{i}]" for i in range(n)),
        store=lines_of(n, "store(spike, #, 0, r[#])", 8) + "\n"
        + lines_of(n, "store(end, #, 0, chosen(leaps, x[#], z[#]))", 8),
    )  # fmt: skip


def acting(inputs):
    """{variable: what an input of weights w adds to it}; inputs: `Model.input_indices`."""
    positive, negative = inputs
    if positive == negative:
        return {positive: "w"}
    return {positive: "greater(w, 0.0)", negative: "greater(-w, 0.0)"}


def given(inputs):
    """The derivative by weights w, from lam after their input."""
    positive, negative = inputs
    if positive == negative:
        return f"lam[{positive}]"
    return f"chosen(reaches(w, 0.0), lam[{positive}], -lam[{negative}])"


def _walks(n, n_p, v, inputs, holds):
    jump = [f"y[{i}]" for i in range(n)]
    for i, what in acting(inputs).items():
        lost = holds and i == v
        jump[i] += f" + chosen(g.word[HOLDS], 0.0, {what})" if lost else f" + {what}"
    return WALK.format(
        p=each(n_p, "load(g.p, #, 0)"),
        state=each(n, "load(g.state, #, 0)"),
        jump=tuple_of(jump),
        held="g.word[HOLDS]" if holds else "0",
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
        input=given(inputs), rise=" + ".join(f"lam[{i}] * rate[{i}]" for i in range(n)),
        store_lam_end=lines_of(n, "store(b.lam, #, 0, lam[#])", 4),
    )  # fmt: skip


SERIES_TEXT = """\
@inlined_kernel
def flow(e, g, p, y, h, live):
    r = g.series
    order, failed = expansion(p, y, h, e.order, e.tolerance, r, g.reach, live, True)
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
    order, failed = expansion_all(p, y, h, e.order, e.tolerance, r, g.reach, live, False)
    rise = 0.0 * lam[0]
    if wanted and h >= SHORTEST:
        for k in range(order, 0, -1):
            rise = rise + float(k) * ({dot})
        rise = rise / h
    elif wanted:
        rate = field_of(p, y)
        rise = {dot_rate}
    return back(g, b, order, h, e.tolerance > 0.0, lam), rise


"""

# the adjoint over a step whose series and Jacobian's `expansion_all` left in g
BACK = """\
@inlined_kernel
def back(g, b, order, h, adaptive, lam):
    r, tail = g.series, lam
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
    return tail


"""


def expansion_back(n, entries):
    """Text of `expansion_all` and `back`; entries: of `source.Source`."""
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
    return expansion("expansion_all", "jacobian_term", n) + BACK.format(
        reached=each(n, "chosen(reach, lam[#], 0.0)"),
        weights=each(n, "step * tail[#]"),
        put_weights=lines_of(n, "put(b.tail, #, k, weight[#])", 8),
        gather="\n".join(gather), gathered=each(n, "total#"),
    )  # fmt: skip


def series(n, v, entries):
    """Text of `flow` and `pull` for power series; entries: of `source.Source`."""
    return expansion_back(n, entries) + SERIES_TEXT.format(
        v=v, top=each(n, "at(r, #, order)"), coefficients=each(n, "at(r, #, k)"),
        add=each(n, "z[#] + c[#]"),
        dot=" + ".join(f"lam[{i}] * at(r, {i}, k)" for i in range(n)),
        dot_rate=" + ".join(f"lam[{i}] * rate[{i}]" for i in range(n)),
    )  # fmt: skip


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
    leap = "\n\n" + _leap(*walks[:3]) if "reset_of" in names else ""
    return header + method + _walks(*walks) + leap
