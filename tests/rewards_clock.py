"""Whether the time of a function grows with the length of a text, no faster: by the processor's clock."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 5
STEP = 4  # from the shorter text to the longer one
SLACK = 3  # times the growth of a linear function; a quadratic one would grow STEP times more than a linear one
LEAST_S = 0.1  # below this much processor time any growth is fine


def grows_linearly(function: Callable[[str], object], piece: str, count: int) -> bool:
    """Tell whether STEP times the text takes at most SLACK * STEP times as long, the least of several tries each.

    piece, count: the longer text is count of them. Processor time of this thread, which other processes do not add to.
    """
    times = []
    for text in (piece * (count // STEP), piece * count):
        spent = []
        for _ in range(TRIES):
            start = time.thread_time()
            function(text)
            spent.append(time.thread_time() - start)
            if spent[-1] < LEAST_S / STEP:
                break
        times.append(min(spent))
    return times[1] <= max(LEAST_S, SLACK * STEP * times[0])
