"""Axes with ticks at round numbers: of grid steps, of small errors, of differences."""

import numpy as np
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    Locator,
    NullFormatter,
    NullLocator,
)


def round_numbers(low, high, most=5):
    """1, 2 and 5 times powers of ten between two numbers; fewer decades where many."""
    low_exponent, high_exponent = np.floor(np.log10(low)), np.ceil(np.log10(high))
    exponents = np.arange(low_exponent, high_exponent + 1)
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**e for e in exponents for m in mantissas if low <= m * 10.0**e <= high]
        if len(ticks) <= most:
            return ticks
    apart = -(-len(ticks) // most)
    return [tick for tick in ticks if round(np.log10(tick)) % apart == 0]


def plain(value, _=None):
    """A round number as text: 0.02, 300, or a power of ten."""
    size = abs(value)
    if value == 0 or 1e-2 <= size < 1e5:
        return f"{value:g}".replace("-", "\N{MINUS SIGN}")
    exponent = int(np.floor(np.log10(size) + 1e-9))
    mantissa = value / 10.0**exponent
    times = "" if np.isclose(mantissa, 1) else f"{mantissa:g} \\cdot "
    return f"${times}10^{{{exponent}}}$"


class _RoundNumbers(Locator):
    def __init__(self, most):
        self.most = most

    def __call__(self):
        return self.tick_values(*sorted(self.axis.get_view_interval()))

    def tick_values(self, low, high):
        return round_numbers(max(low, 1e-300), high, self.most)


def logarithmic(axes, which="y", most=5):
    """Make an axis, x or y, logarithmic, with ticks at round numbers."""
    getattr(axes, f"set_{which}scale")("log")
    round_ticks(getattr(axes, f"{which}axis"), most)


def round_ticks(axis, most=5):
    """Ticks at round numbers on a logarithmic axis."""
    axis.set_major_locator(_RoundNumbers(most))
    axis.set_major_formatter(plain)
    axis.set_minor_locator(NullLocator())


def dt_axis(axes, dts, name=True):
    """Logarithmic axis of grid steps (seconds, drawn in ms), ticks at those that were run."""
    dts = 1e3 * np.asarray(sorted(dts))
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(FixedLocator(dts))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if len(dts):
        axes.set_xlim(dts[0] / 1.3, dts[-1] * 1.3)
        # labels keep their distance; round numbers first
        chosen = []
        width = axes.get_window_extent().width / axes.figure.dpi  # inches
        apart = 0.3 / width * np.log10(dts[-1] / dts[0] * 1.7)
        for dt in sorted(dts, key=lambda dt: f"{dt:.1e}"[:3] not in ("1.0", "2.0", "5.0")):
            if all(abs(np.log10(dt / other)) > apart for other in chosen):
                chosen.append(dt)
        chosen.sort()
        axes.xaxis.set_major_locator(FixedLocator(chosen))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{dt:g}" for dt in chosen]))
    if name:
        axes.set_xlabel("grid step dt (ms)")


def error_axis(axes, name="test error (%)"):
    """Logarithmic axis of errors in percent."""
    logarithmic(axes)
    axes.set_ylabel(name)


def difference_axis(axes, name, linear=1.0):
    """Axis of differences; where some are far above `linear` it is logarithmic beyond, and says so.

    What is drawn must be drawn before.
    """
    low, high = axes.get_ylim()
    if low <= 0 <= high and max(-low, high) > 10 * linear:
        axes.set_yscale("symlog", linthresh=linear, linscale=0.7)
        axes.set_ylim(1.3 * low, 1.3 * high)
        decades = linear * 10.0 ** np.arange(np.ceil(np.log10(max(-low, high) / linear)) + 1)
        axes.yaxis.set_major_locator(FixedLocator([*-decades, 0.0, *decades]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(plain)
        name += f"\nlogarithmic beyond ±{linear:g}"
    axes.set_ylabel(name)
