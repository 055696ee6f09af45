"""The text of what carries the analytical adjoint of a vector over what `quiet` walked.

As `quiet.text`, whose records it takes, but by the true flow from each of them, as `piggyback`
does for a neuron alone, to which lanes are left whose series does not reach the end at once.
"""

from lifnum.kernels.general import quiet
from lifnum.kernels.general.expansion import each, lines_of, tuple_of

HEADER = """\
from lifnum.compiler import inlined_kernel, kernel
from lifnum.kernels.elementary import at, at_most, chosen, fma, greater, put, reaches
from lifnum.kernels.general.engine import MAX_ORDER
from lifnum.kernels.general.lanes import BASE, FAILED
from lifnum.kernels.general.piggyback import TRUE_TOLERANCE
from lifnum.kernels.vectors import add, load, store, total
from lifnum._compiled.{module} import field_of, jacobian_term


"""

WALK = """\
@kernel
def true_back(e, g, b, first, last):
    p = {p}
    lam = {lam}
    base, timed = g.word[BASE], len(b.d_points) > 0
    g.word[FAILED] = 0
    k = last
    while k > first:
        k -= 1
        flags = g.flags[k - base]
        mine = g.live[k - base] & ~flags
        after = g.live[k - base + 1]
        lam = {lam_after}
        y, at_end, failed = {recorded}, lam, 0
        h = g.time[k + 1] - g.time[k]
        if h > 0.0 and mine != 0:
            order, failed = expansion_all(
                p, y, h, 0, TRUE_TOLERANCE, g.series, g.reach, mine, False
            )
            lam = back(g, b, order, h, True, lam)
            mine &= ~failed
        lam = {lam_mine}
        source = g.source[k]
        if source >= 0 and timed and mine != 0:
            w = load(g.drive, source, 0)
            f_before, f_after = field_of(p, {before}), field_of(p, y)
            b.d_points[k] += total(chosen(mine, {moved}, 0.0))
        if (flags | failed) != 0:
            g.word[FAILED] = failed
{store_end}
{store_lam}
            return k
        if source >= 0:
            w = load(g.drive, source, 0)
            add(b.d_drive, source, 0, {input})
{store_lam_end}
    return first - 1
"""


def text(module, n, n_p, inputs, entries):
    """The whole text; module: of a model's functions; entries: of `source.Source`."""
    before = [f"y[{i}]" for i in range(n)]
    for i, what in quiet.acting(inputs).items():
        before[i] += f" - {what}"
    return HEADER.format(module=module) + quiet.expansion_back(n, entries) + WALK.format(
        p=each(n_p, "load(g.p, #, 0)"),
        lam=each(n, "load(b.lam, #, 0)"),
        lam_after=each(n, "chosen(after, lam[#], 0.0)"),
        recorded=each(n, "at(g.states, k - base, #)"),
        lam_mine=each(n, "chosen(mine, lam[#], 0.0)"),
        before=tuple_of(before),
        moved=" + ".join(f"lam[{i}] * (f_before[{i}] - f_after[{i}])" for i in range(n)),
        store_end=lines_of(n, "store(b.before, #, 0, at_end[#])", 12),
        store_lam=lines_of(n, "store(b.lam, #, 0, lam[#])", 12),
        input=quiet.given(inputs),
        store_lam_end=lines_of(n, "store(b.lam, #, 0, lam[#])", 4),
    )  # fmt: skip
