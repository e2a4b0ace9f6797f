"""Curves of a run as small PNG panels, for light and for dark pages. Pure functions of series of values.

Only matplotlib's objects are used (no pyplot), so nothing global changes and no window system is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT, DPI = 3.7, 2.3, 160  # inches, inches, pixels an inch: sharp on a phone's dense screen
FONT = 9  # points
AREA = (0.15, 0.19, 0.83, 0.73)  # left, bottom, width, height of the axes as fractions: room for labels, no layout pass
LEGEND = 0.04  # of the height, taken from the axes where a legend stands above them


@dataclass(frozen=True)
class Series:
    """One line of a panel: its name in the legend, and its steps and finite values, equally many.

    dots: True for few points (evaluations), which are drawn without smoothing.
    """

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    dots: bool = False


@dataclass(frozen=True)
class Theme:
    """Colours of a panel on a light or a dark page. ink: texts. grid: grid lines. lines: the curves, in turn."""

    ink: str
    grid: str
    lines: tuple[str, ...]


DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
MARKS = "osD^vPX"
LIGHT = Theme(ink="#5b6470", grid="#e4e7eb", lines=("#2563a8", "#c2571a", "#3d8b57"))
DARK = Theme(ink="#a3adb9", grid="#2c333c", lines=("#74aee6", "#eb9a62", "#79c592"))


def panel(lines: Sequence[Series], theme: Theme = LIGHT, unit: str = "") -> bytes:
    """Return a PNG of one panel with a transparent background: raw values faint, the smoothed curve on top.

    unit: text behind the numbers of the vertical axis. Lines differ in dash and marker too, so that equal ones show.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    FigureCanvasAgg(figure)
    left, bottom, width, height = AREA
    legend = len(lines) > 1
    axes = figure.add_axes((left, bottom, width, height - LEGEND * legend))
    for n, line in enumerate(lines):
        _draw(axes, line, style(n, theme))
    _limit(axes, lines)
    _dress(axes, theme, unit)
    if legend:
        _legend(axes, theme)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()


def smooth(values: Sequence[float] | np.ndarray, window: int | None = None) -> np.ndarray:
    """Return the running median of the values, and of that the running mean; as many numbers as `values`.

    window: number of points, odd, around each point; None: about a tenth of all points, at most 101. The median keeps
    one outlier from bending the curve. At the ends the values are reflected. Fewer than ten values are returned as they
    are.
    """
    raw = np.asarray(values, dtype=np.float64)
    window = min(len(raw) // 20 * 2 + 1, 101) if window is None else window
    if window < 3 or len(raw) < 10:
        return raw
    return _rolling(_rolling(raw, window, np.median), window, np.mean)


def _rolling(values: np.ndarray, window: int, reduce: Callable[..., np.ndarray]) -> np.ndarray:
    padded = np.pad(values, window // 2, mode="reflect")
    return reduce(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)


def style(n: int, theme: Theme = LIGHT) -> dict[str, Any]:
    """Return matplotlib's colour, dash, marker and width of line n.

    Later lines are thinner, dashed, hollow and on top, so that equal lines show.
    """
    colour, thinner = theme.lines[n % len(theme.lines)], min(n, len(DASHES) - 1)
    return {
        "color": colour,
        "ls": DASHES[n % len(DASHES)],
        "marker": MARKS[n % len(MARKS)],
        "mfc": colour if n == 0 else "none",
        "lw": 2.2 - 0.35 * thinner,
        "ms": 4 + thinner,
        "zorder": 3 + n,
    }


def dress(axes: Axes) -> None:
    """Give axes a light grid, and remove their frame at the top and right."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=LIGHT.grid, lw=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=LIGHT.ink)


def _draw(axes: Axes, line: Series, look: Mapping[str, Any]) -> None:
    if line.dots or len(line.values) < 10:
        axes.plot(line.steps, line.values, label=line.name, **look)
        return
    axes.plot(line.steps, line.values, color=look["color"], lw=0.8, alpha=0.3)
    axes.plot(line.steps, smooth(line.values), label=line.name, **{**look, "marker": ""})


def _limit(axes: Axes, lines: Sequence[Series]) -> None:
    """Set vertical limits that a few outliers cannot stretch; such values leave the panel."""
    raw = np.concatenate([np.asarray(line.values, dtype=np.float64) for line in lines])
    kept = np.concatenate([np.asarray(line.values) if line.dots else smooth(line.values) for line in lines])
    low, high = np.percentile(raw, (1, 99))
    low, high = min(low, kept.min()), max(high, kept.max())
    reach = high - low
    if reach > 0:
        bottom = raw.min() if raw.min() > low - reach else low
        top = raw.max() if raw.max() < high + reach else high
        axes.set_ylim(bottom - 0.06 * reach, top + 0.06 * reach)


def _dress(axes: Axes, theme: Theme, unit: str) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.grid)
    axes.grid(axis="y", color=theme.grid, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=FONT, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=(1, 2, 2.5, 5, 10)))
    if unit:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}{unit}")
    else:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    axes.yaxis.get_offset_text().set(color=theme.ink, size=FONT)
    axes.set_xlabel("step", color=theme.ink, fontsize=FONT)


def _legend(axes: Axes, theme: Theme) -> None:
    """Put the names in one line above the axes, where no curve runs through them."""
    axes.legend(
        frameon=False,
        fontsize=FONT,
        labelcolor=theme.ink,
        loc="lower right",
        bbox_to_anchor=(1.02, 0.98),
        ncols=len(axes.get_lines()),
        borderaxespad=0,
        handlelength=1.8,
        handletextpad=0.4,
        columnspacing=1.0,
    )
