"""Text printed at the start of a run: a few responses with rewards, and warnings where nothing can be learned."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from ral.rewards.answers import extract_answer
from ral.types import Rollout, Scores

LONGEST_SHOWN = 2000  # characters of a prompt or a response printed

_REPEATED = re.compile(r"(<[^<>\s]+>)(?: ?\1){3,}")


def uniform(values: Tensor) -> bool:
    """Tell whether all values, of any shape, are equal: such rewards give zero advantages, so nothing is learned."""
    return bool((values == values.flatten()[:1]).all())


def describe_start(rollout: Rollout, scores: Scores, k: int = 3, warnings: Sequence[str] | None = None) -> str:
    """Return the text for the console: k responses, spread over the prompts, with prompt, gold answer and rewards.

    warnings: printed after the responses, one line each; None: those of `start_warnings` for this rollout.
    """
    k = min(k, len(rollout.texts))
    shown = [i * len(rollout.texts) // k for i in range(k)]
    blocks = [_describe_answer(rollout, scores, n) for n in shown]
    found = start_warnings(rollout, scores) if warnings is None else warnings
    return "\n\n".join([*blocks, *(f"warning: {warning}" for warning in found)])


def start_warnings(rollout: Rollout, scores: Scores) -> list[str]:
    """Return warnings of what will keep the run from learning, with likely causes; [] where rewards are usable.

    Also [] where the scores have no parts. Only the responses and scores are read, not the prompts.
    """
    warnings: list[str] = []
    if not scores.parts:
        return warnings
    if uniform(scores.reward):
        warnings.append(f"all {len(rollout.texts)} rewards are {scores.reward[0].item():.3g}: {_why_equal(scores)}")
    elif rollout.group_size > 1 and all(uniform(group) for group in scores.reward.view(-1, rollout.group_size)):
        warnings.append(
            "the answers to each prompt all earn the same, so every advantage is 0: "
            "raise the sampling temperature or the group size, or take prompts of middling difficulty"
        )
    if _none_in_form(rollout, scores):
        warnings.append(f"no answer has the format asked for: {_why_formless(rollout)}")
    return warnings


def _describe_answer(rollout: Rollout, scores: Scores, n: int) -> str:
    prompt = n // rollout.group_size
    example = rollout.prompts.examples[prompt]
    parts = ", ".join(f"{name} {values[n].item():.3g}" for name, values in scores.parts.items())
    cut = "" if rollout.finish_reasons[n] == "stop" else "  [cut by the length limit]"
    return "\n".join(
        (
            f"--- answer {n} to {example.source or example.uid} ({example.problem_type}) ---",
            f"prompt:   {_shorten(rollout.prompts.texts[prompt])}",
            f"response: {_shorten(rollout.texts[n])}{cut}",
            f"gold:     {example.answer}",
            f"reward:   {scores.reward[n].item():.3g}  ({parts})",
        )
    )


def _shorten(text: str) -> str:
    """Return a text with runs of one special token as "token x count", cut in the middle to LONGEST_SHOWN letters."""
    text = _REPEATED.sub(lambda match: f"{match[1]} x {match[0].count(match[1])}", text)
    half = LONGEST_SHOWN // 2
    return text if len(text) <= LONGEST_SHOWN else f"{text[:half]} [...] {text[-half:]}"


def _none_in_form(rollout: Rollout, scores: Scores) -> bool:
    if "format" in scores.parts:
        return not bool((scores.parts["format"] > 0).any())
    return all(extract_answer(text) is None for text in rollout.texts)


def _why_equal(scores: Scores) -> str:
    right = scores.parts.get("accuracy")
    if right is not None and bool((right >= 1).all()):
        return "every answer is right already; take harder data or a weaker model"
    if right is not None and not bool((right > 0).any()):
        return (
            "no answer is right; check that the solutions fit the prompts, and wording (dataset.templates) and pixels "
            "(dataset.media) the model, take easier data, or start with algo=sft"
        )
    return "check the reward's parts and weights, and that sampling is not greedy (temperature above 0)"


def _why_formless(rollout: Rollout) -> str:
    if "stop" not in rollout.finish_reasons:
        return "every answer was cut by the length limit; raise the number of new tokens allowed"
    if all(extract_answer(text) is None for text in rollout.texts):
        return "no answer holds <answer>...</answer>; start with algo=sft, or check the prompt template"
    return "the answer tags are there but not the form around them; check think mode against zero mode (algo=ral_zero)"
