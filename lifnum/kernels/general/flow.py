"""A step of any method: the state after s, and its derivatives.

Each function is one of the family of methods that the engine's class names. Symbols as in
`lifnum.methods`.
"""

import math

from lifnum.compiler import by_class, call, kernel
from lifnum.kernels.general.engine import MAX_ORDER, SHORTEST, Exponential, Series, Stages
from lifnum.methods.exponential import exponential_flow, exponential_pull, exponential_rate
from lifnum.methods.runge_kutta import stages_flow, stages_pull, stages_rate
from lifnum.methods.taylor import (
    series_at,
    series_expand,
    series_expand_all,
    series_pull,
    series_rate,
)

FAILED = -1  # not finite, or a series that did not converge


@kernel
def _stages_flow(e, c, y, h, last, out):
    stages_flow(e, c, y, h, out)
    return 0


@kernel
def _exponential_flow(e, c, y, h, last, out):
    exponential_flow(e, c, y, h, out)
    return 0


@kernel
def _series_flow(e, c, y, h, last, out):
    order = series_expand(e, c, y, h, e.order, e.tolerance)
    if order < 0:
        if not last:
            return FAILED
        order = MAX_ORDER
    series_at(e, c.r, order, 1.0, out)
    return order


_flow = by_class({Stages: _stages_flow, Series: _series_flow, Exponential: _exponential_flow})


@kernel
def flow(e, c, y, h, last, out):
    """out = the state after a step h from y; the order used, or FAILED.

    last: a step that cannot be cut again, whose series counts as it is.
    """
    order = 0
    if h == 0.0:
        for i in range(e.n):
            out[i] = y[i]
    else:
        order = _flow(e, c, y, h, last, out)
    for i in range(e.n):
        if not math.isfinite(out[i]):
            return FAILED
    return order


@kernel
def _stages_at(e, c, y, step, out):
    stages_flow(e, c, y, step.s, out)


@kernel
def _exponential_at(e, c, y, step, out):
    exponential_flow(e, c, y, step.s, out)


@kernel
def _series_at(e, c, y, step, out):
    series_at(e, c.r, step.order, step.s / step.h, out)


_at = by_class({Stages: _stages_at, Series: _series_at, Exponential: _exponential_at})


@kernel
def state_at(e, c, y, step, out):
    """out = the state after s of a step, whose series the cell still holds."""
    if step.h == 0.0:
        for i in range(e.n):
            out[i] = y[i]
    else:
        _at(e, c, y, step, out)


@kernel
def _nothing(e, c, y, step):
    pass


@kernel
def _series_prepare(e, c, y, step):
    if step.h > 0.0:
        series_expand_all(e, c, y, step.h, step.order)


# before `rate`, `pull` and `state_at` of a step that was simulated before: (e, c, y, step)
prepare = by_class({Stages: _nothing, Series: _series_prepare, Exponential: _nothing})


@kernel
def _stages_rate(e, c, y, step, out):
    stages_rate(e, c, y, step.s, out)


@kernel
def _exponential_rate(e, c, y, step, out):
    exponential_rate(e, c, y, step.s, out)


@kernel
def _series_rate(e, c, y, step, out):
    series_rate(e, c.r, step.order, step.s / step.h, step.h, out)


_rate = by_class({Stages: _stages_rate, Series: _series_rate, Exponential: _exponential_rate})


@kernel
def rate(e, c, y, step, out):
    """out = d/ds of the state after s."""
    if step.h < SHORTEST:
        call(e.field, (c.p, y, out))
    else:
        _rate(e, c, y, step, out)


@kernel
def _stages_pull(e, c, y, step, lam, out):
    stages_pull(e, c, y, step.s, lam, out)


@kernel
def _exponential_pull(e, c, y, step, lam, out):
    exponential_pull(e, c, y, step.s, lam, out)


_pull = by_class({Stages: _stages_pull, Series: series_pull, Exponential: _exponential_pull})


@kernel
def pull(e, c, y, step, lam, out):
    """out = (derivative of the state after s by y)^T lam; out may be lam."""
    if step.h == 0.0:
        for i in range(e.n):
            out[i] = lam[i]
    else:
        _pull(e, c, y, step, lam, out)


@kernel
def _moves_in_turn(e, c, y, step, lam, end, turn, out):
    state_at(e, c, y, step, end)
    rate(e, c, y, step, turn)
    pull(e, c, y, step, lam, out)


@kernel
def _stages_moves(e, c, y, step, lam, end, turn, out):
    if step.h == 0.0:
        _moves_in_turn(e, c, y, step, lam, end, turn, out)
    else:
        call(e.moves, (c.p, y, step.s, lam, end, turn, out))


# end, turn, out = those of `state_at`, `rate` and `pull`; out is not lam
moves = by_class({Stages: _stages_moves, Series: _moves_in_turn, Exponential: _moves_in_turn})
