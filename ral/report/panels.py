"""The curves on the page of a run, in order, each with its meaning in plain words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ral.report.curves import DARK, LIGHT, Series, panel, smooth
from ral.report.isolation import part
from ral.report.records import series


@dataclass(frozen=True)
class Panel:
    """A panel to draw. title: its title; keys: {metric: its name in the legend}; caption: text below it.

    share: True for values in [0, 1], which are drawn in percent.
    """

    title: str
    keys: Mapping[str, str]
    caption: str
    share: bool = False


@dataclass(frozen=True)
class Drawn:
    """A drawn panel. light, dark: its images for light and dark pages, as data URLs.

    ends: the first and last value of its first curve, smoothed, as text.
    """

    title: str
    caption: str
    light: str
    dark: str
    ends: str


PANELS = (
    Panel(
        "Reward",
        {"train/reward": "reward"},
        "What training pushes up, in points: the weighted sum of accuracy and format, averaged over the sampled "
        "responses.",
    ),
    Panel(
        "Accuracy",
        {"train/accuracy": "sampled, training", "eval/accuracy": "greedy, evaluation"},
        "Mean score of the responses: 100% for a right one, 0% for a wrong one, in between where a reward is graded, "
        "as in free form, OCR and regression. Sampling explores, so greedy answers may score higher.",
        share=True,
    ),
    Panel(
        "Pairs ranked right",
        {"train/pair_accuracy": "training pairs"},
        "Share of the pairs in which the reward model scores the chosen response higher. Chance is 50%.",
        share=True,
    ),
    Panel(
        "Loss",
        {"train/loss": "loss"},
        "What the optimiser makes smaller. In supervised training: nats a response token, so lower is better.",
    ),
    Panel(
        "Looking at the evidence",
        {"eval/grounding": "tokens that look hardest", "eval/grounding_all": "all tokens"},
        "Share of the attention to the picture that falls inside the evidence box, by the positions that produce the "
        "tokens. Higher means looking at what the question asks about.",
        share=True,
    ),
    Panel(
        "Attention moved",
        {"train/attention_jsd": "JSD"},
        "How far attention moved from its reference while the same responses were trained on (Jensen-Shannon "
        "divergence, nats; 0 = not at all, 0.69 = completely).",
    ),
    Panel(
        "Attention on the picture",
        {"train/attention_visual_share": "visual share"},
        "Share of the response tokens' attention that goes to pictures and clips; the rest goes to text.",
        share=True,
    ),
    Panel(
        "Distance from the start",
        {"train/kl": "KL"},
        "How far the policy's word choices drifted from the initial model (KL divergence, nats a token). A steep rise "
        "warns of a run going astray.",
    ),
    Panel(
        "Entropy",
        {"train/entropy": "entropy"},
        "How undecided the policy is about its next token (nats). Near 0 it has stopped exploring.",
    ),
    Panel(
        "Response length",
        {"train/response_length": "tokens"},
        "Mean number of tokens a response takes, its end token included.",
    ),
    Panel(
        "Gradient norm",
        {"train/grad_norm": "norm"},
        "Length of the gradient of an update, before clipping. Spikes mark unstable steps.",
    ),
    Panel("Seconds a step", {"time/step_s": "seconds"}, "Wall-clock time of one step: rollout, reward and updates."),
)


def draw_panels(metrics: Sequence[Mapping[str, Any]], failures: list[str] | None = None) -> list[Drawn]:
    """Return the panels whose metrics were logged, drawn for light and dark pages. metrics: lines of metrics.jsonl.

    failures: a list to which a sentence is appended for each panel that cannot be drawn.
    """
    failures = [] if failures is None else failures
    drawn = [part(f"panel {spec.title}", lambda: _draw(spec, metrics), None, failures) for spec in PANELS]  # noqa: B023
    return [panel for panel in drawn if panel is not None]


def _draw(spec: Panel, metrics: Sequence[Mapping[str, Any]]) -> Drawn | None:
    """Return one panel; None where none of its metrics was logged."""
    scale, unit = (100, "%") if spec.share else (1, "")
    lines = [
        Series(name, points[0], [scale * value for value in points[1]], dots=key.startswith("eval/"))
        for key, name in spec.keys.items()
        if (points := series(metrics, key))[0]
    ]
    if not lines:
        return None
    light, dark = (_address(panel(lines, theme, unit)) for theme in (LIGHT, DARK))
    return Drawn(spec.title, spec.caption, light, dark, _ends(lines[0], unit))


def _ends(line: Series, unit: str) -> str:
    values = [f"{value:.1f}{unit}" if unit else f"{value:.3g}" for value in smooth(line.values)[[0, -1]]]
    values = [value.replace("-", "−") for value in values]
    return " → ".join(values[: len(line.values)])


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
