"""Values that pass between the stages of a training step, as frozen dataclasses; here the legend of axes and masks.

Terms
    A rollout holds G sampled responses to each prompt. A trajectory is one such response: the tokens that the policy
    sampled and, between them, the text, images or tool results that it was shown.
Axes
    B  prompts on this rank            G  trajectories of one prompt ("group size")
    N  trajectories, N = B * G; trajectory n continues prompt n // G
    P  prompt length (left-padded)     C  response length (right-padded)
    K  attention keys, K = P + C: first the prompt's P positions, then the response's own C
    D  width of the decoder's states   J  first decoder layers that are given visual features of their own (deepstack)
    L  decoder layers                  V  tokens of the vocabulary (in `TokenRows` alone: visual tokens)
    H  query heads                     Hkv  key heads, each read by R query heads: H = Hkv * R
Masks
    True = counts, everywhere. A value under False may be anything and must change nothing.
    valid: context that later tokens may attend to. trainable: tokens that the policy sampled, a part of valid: these
    alone have a log-prob, an attention row (the attention of one token over the K keys) and a loss.
Units
    Losses, log-probs, attention rows and rewards are fp32; divergences, entropies, log-probs in nats; times in seconds.
"""

from ral.errors import UserError
from ral.types.examples import (
    IMAGE_MARK,
    PROBLEM_TYPES,
    VIDEO_MARK,
    Box,
    Evidence,
    Example,
    Media,
    MediaKind,
    Pixels,
    Step,
    Turn,
)
from ral.types.loss import Loss, Metrics
from ral.types.prompts import Cut, Grid, Prepared, PromptBatch, Sequences, VisualStates, Wording
from ral.types.scores import Scores
from ral.types.token_rows import Query, RowChoice, TokenRows
from ral.types.trajectory import FinishReason, Rollout, Segment, Shown, ShownMedia, Trajectory, finish_reasons

__all__ = [
    "IMAGE_MARK",
    "PROBLEM_TYPES",
    "VIDEO_MARK",
    "Box",
    "Cut",
    "Evidence",
    "Example",
    "FinishReason",
    "Grid",
    "Loss",
    "Media",
    "MediaKind",
    "Metrics",
    "Pixels",
    "Prepared",
    "PromptBatch",
    "Query",
    "Rollout",
    "RowChoice",
    "Scores",
    "Segment",
    "Sequences",
    "Shown",
    "ShownMedia",
    "Step",
    "TokenRows",
    "Trajectory",
    "Turn",
    "UserError",
    "VisualStates",
    "Wording",
    "finish_reasons",
]
