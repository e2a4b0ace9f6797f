"""Signs that training goes wrong, found in the metrics of the steps so far: each gives one line with a remedy."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import mean
from typing import Any

WINDOW = 20
"""Steps over which most signs take a mean."""
FIRST = 5
"""Steps over which the signs that show at the start of a run are taken."""
LEAST_MOVED = 0.5
"""Least share of the weights with a gradient that updates change: near 1 in fp32, a few percent where they round."""
LEAST_FALL = 0.1
"""Least fall of the mean reward that counts as a sign, for a reward of about 0 to 1."""
HARDLY_A_SIGNAL = 0.95
"""Share of groups of equal reward at and above which a run learns next to nothing."""
FEW_CUT = 0.25
"""Most share of responses truncated by the length limit that is usual at the start."""
SLOW = 10
"""At learning rates up to the peak divided by this, unchanged weights are no sign: a schedule may end at zero."""

WATCHED = (
    *("reward", "groups_without_signal", "kl", "truncated", "attention_divergence", "attention_distillation"),
    *("moved_share", "learning_rate", "entropy", "evidence_tokens", "view_kl"),
)
"""Names of the metrics that signs read, without "train/"."""


@dataclass
class Track:
    """Values of one metric that the signs need; their number does not grow with the run.

    first: the first WINDOW values; last: the last 2 * WINDOW; best: the highest mean of WINDOW values in a row that
    came before the last WINDOW values; -inf before 2 * WINDOW values.
    """

    first: list[float] = field(default_factory=list)
    last: deque[float] = field(default_factory=lambda: deque(maxlen=2 * WINDOW))
    best: float = -math.inf

    def add(self, value: float) -> None:
        """Add one step's value."""
        if len(self.first) < WINDOW:
            self.first.append(value)
        self.last.append(value)
        if len(self.last) == 2 * WINDOW:
            self.best = max(self.best, mean(list(self.last)[:WINDOW]))

    def recent(self, count: int = WINDOW) -> list[float]:
        """Return the last `count` values (2 * WINDOW at most), oldest first; [] where there are fewer."""
        return list(self.last)[-count:] if len(self.last) >= count else []


@dataclass
class History:
    """The tracks of the watched metrics, by name without "train/"."""

    tracks: dict[str, Track] = field(default_factory=lambda: {name: Track() for name in WATCHED})

    def add(self, metrics: Mapping[str, float]) -> None:
        """Add one step's metrics {"train/<name>": value}; others are ignored."""
        for name, track in self.tracks.items():
            if (value := metrics.get(f"train/{name}")) is not None:
                track.add(float(value))

    def __getitem__(self, name: str) -> Track:
        return self.tracks[name]

    def state(self) -> dict[str, Any]:
        """Return the tracks as plain lists and numbers, for `restore`."""
        return {n: {"first": t.first[:], "last": list(t.last), "best": t.best} for n, t in self.tracks.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the tracks to those that `state` returned; metrics missing there begin anew, unknown ones are dropped."""
        for name, found in state.items():
            if name in self.tracks:
                self.tracks[name] = Track(
                    list(found["first"]), deque(found["last"], maxlen=2 * WINDOW), float(found["best"])
                )


Sign = Callable[[History], str | None]
"""(metrics so far) -> a line with the sign and a remedy, None where the sign does not show."""


def reward_collapse(history: History) -> str | None:
    """Return a line if the mean reward of WINDOW steps fell below half that of an earlier window; else None.

    A fall of less than LEAST_FALL does not count.
    """
    track = history["reward"]
    if not track.recent(2 * WINDOW):
        return None
    now, best = mean(track.recent()), track.best
    if now >= best / 2 or best - now < LEAST_FALL:
        return None
    return f"the reward fell from {best:.2f} to {now:.2f}: lower algo.learning_rate or raise algo.kl.coef"


def no_signal(history: History) -> str | None:
    """Return a line if almost no group has responses of different reward, in the mean of WINDOW steps; else None."""
    shares = history["groups_without_signal"].recent()
    if not shares or mean(shares) < HARDLY_A_SIGNAL:
        return None
    return (
        f"over {WINDOW} steps {mean(shares):.0%} of the prompts gave answers of equal reward, which teach nothing: "
        "take prompts of middling difficulty, raise algo.temperature or algo.group_size"
    )


def kl_explosion(history: History) -> str | None:
    """Return a line if the KL from the reference was 1 nat a token or more at each of the last 3 steps; else None."""
    values = history["kl"].recent(3)
    if not values or min(values) < 1.0:
        return None
    remedy = "lower algo.learning_rate or raise algo.kl.coef"
    return f"the policy has left the reference ({values[-1]:.2f} nats a token): {remedy}"


def length_explosion(history: History) -> str | None:
    """Return a line if the length limit truncates half of the responses or more, and few at first; else None."""
    cut = history["truncated"]
    if not cut.recent(2 * WINDOW) or mean(cut.first) > FEW_CUT or mean(cut.recent()) < 0.5:
        return None
    return (
        f"{mean(cut.recent()):.0%} of the responses are cut by dataset.max_new_tokens, {mean(cut.first):.0%} "
        "were at first: add a repetition or length part to the reward (reward=strict), or raise the limit"
    )


def no_attention(history: History) -> str | None:
    """Return a line if a loss term that compares attention was exactly 0 for WINDOW steps; else None."""
    for name in ("attention_divergence", "attention_distillation"):
        values = history[name].recent()
        if values and not any(values):
            return (
                f"train/{name} was exactly 0 for {WINDOW} steps, so that its term taught nothing: with "
                "algo.attention_policy.keys=visual prompts need pictures or clips (write keys=all for text), and "
                "weights have to move (algo.learning_rate)"
            )
    return None


def no_evidence(history: History) -> str | None:
    """Return a line if no token was evidence, or the second view changed nothing, for FIRST steps; else None."""
    seen, apart = history["evidence_tokens"].recent(FIRST), history["view_kl"].recent(FIRST)
    if seen and not any(seen):
        return (
            f"train/evidence_tokens was 0 for {FIRST} steps, so that the term of evidence taught nothing: entries need"
            " the field evidence (docs/data.md), and ease successful answers; or write algo=grpo"
        )
    if apart and not any(apart):
        return (
            f"train/view_kl was exactly 0 for {FIRST} steps: the second view is the first, as for text alone; take"
            " prompts with pictures or clips, or write algo=grpo"
        )
    return None


def weights_at_rest(history: History, steps: int = FIRST) -> str | None:
    """Return a line if updates leave most weights that have a gradient unchanged, for `steps` steps; else None."""
    shares, rates = history["moved_share"].recent(steps), history["learning_rate"]
    peak = max([*rates.first, *rates.last], default=0.0)
    awake = min(rates.recent(steps), default=0.0) > peak / SLOW
    if not shares or not awake or mean(shares) >= LEAST_MOVED:
        return None
    over = f"{steps} step{'' if steps == 1 else 's'}"
    return (
        f"updates change {mean(shares):.1%} of the weights that have a gradient (train/moved_share, below "
        f"{LEAST_MOVED:.0%} over {over}): they are too small for the weights' numbers and round away, so that "
        "nothing is learned; raise algo.learning_rate, and keep trained weights in fp32"
    )


def entropy_collapse(history: History, *, share: float) -> str | None:
    """Return a line if the mean entropy of WINDOW steps is below `share` times that of the first WINDOW; else None."""
    track = history["entropy"]
    if not track.recent(2 * WINDOW) or mean(track.recent()) >= share * mean(track.first):
        return None
    return (
        f"the entropy fell from {mean(track.first):.3g} to {mean(track.recent()):.3g} nats a token (below "
        f"guard.entropy_low={share:g} of the first {WINDOW} steps): the answers to a prompt become the same; raise "
        "algo.token.clip_high, add the term entropy to algo.objective, or lower algo.learning_rate"
    )


def entropy_climb(history: History, *, multiple: float) -> str | None:
    """Return a line if the mean entropy of WINDOW steps is above `multiple` times that of the first ones; else None."""
    track = history["entropy"]
    if not track.recent(2 * WINDOW) or mean(track.recent()) <= multiple * mean(track.first):
        return None
    return (
        f"the entropy rose from {mean(track.first):.3g} to {mean(track.recent()):.3g} nats a token (above "
        f"guard.entropy_high={multiple:g} times that of the first {WINDOW} steps): the answers become noise; lower "
        "algo.learning_rate, algo.token.clip_high or algo.entropy.coef, or raise algo.kl.coef"
    )


def watched(entropy_low: float | None, entropy_high: float | None) -> dict[str, Sign]:
    """Return {name: sign}: all of SIGNS, and those of the entropy whose threshold is not None.

    entropy_low, entropy_high: thresholds, as multiples of the entropy of the first WINDOW steps.
    """
    found = dict(SIGNS)
    if entropy_low is not None:
        found["entropy_collapse"] = partial(entropy_collapse, share=entropy_low)
    if entropy_high is not None:
        found["entropy_climb"] = partial(entropy_climb, multiple=entropy_high)
    return found


ALL = (reward_collapse, no_signal, kl_explosion, length_explosion, no_attention, no_evidence, weights_at_rest)
SIGNS: Mapping[str, Sign] = {sign.__name__: sign for sign in ALL}


@dataclass
class Signs:
    """Signs of a run. history: the metrics so far, in bounded form. told: names of the signs that were reported."""

    history: History = field(default_factory=History)
    told: set[str] = field(default_factory=set)

    def look(self, metrics: Mapping[str, float], signs: Mapping[str, Sign] = SIGNS) -> Iterator[str]:
        """Add a step's metrics; yield a line for each of `signs` that shows for the first time in this run."""
        self.history.add(metrics)
        for name, sign in signs.items():
            if name not in self.told and (found := sign(self.history)):
                self.told.add(name)
                yield found

    def at_end(self) -> str | None:
        """Return a line if updates changed next to nothing in a whole run of fewer than FIRST steps; else None."""
        steps = len(self.history["moved_share"].first)
        return weights_at_rest(self.history, steps) if 0 < steps < FIRST else None

    def state(self) -> dict[str, Any]:
        """Return plain lists and numbers, for `of`."""
        return {"told": sorted(self.told), "history": self.history.state()}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Signs:
        """Return the signs from the plain values that `state` returned."""
        history = History()
        history.restore(state["history"])
        return cls(history, set(state["told"]))
