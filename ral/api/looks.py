"""A model's responses to a question about an image or video, and the attention of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float
from torch import Tensor

from ral.errors import UserError
from ral.evaluation.asking import Asked, ask
from ral.evaluation.attention_map import complete, example_of, load_model, read
from ral.files.repository import SHIPPED, find
from ral.models.checks import check_spec
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

File = str | PathLike[str]


def load(checkpoint: File = SHIPPED, device: str = "cpu") -> MLLM:
    """Load a model with its processor.

    Args:
        checkpoint: a folder such as a run's hf/, a hub id, or the shipped model.
        device: PyTorch device on which the model computes, such as "cpu" or "cuda".

    Returns:
        The model. `model.network` is Transformers' own, `model.processor.tokenizer` its tokenizer.

    Raises:
        UserError: one line on the problem with the folder.
    """
    return load_model(str(checkpoint), device)


def sample(
    model: MLLM,
    question: str,
    *,
    image: File | None = None,
    video: File | None = None,
    count: int = 8,
    temperature: float = 1.0,
    greedy: bool = False,
    max_new_tokens: int = 256,
    seed: int = 0,
    template: str | None = None,
    evidence: tuple[float, float, float, float] | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    max_frames: int | None = None,
) -> Asked:
    """Ask a model one question about an image or video, several times.

    Args:
        model: a model from `ral.load`.
        question: the question, options included.
        image: an image file; this or `video`.
        video: a video file.
        count: responses to sample.
        temperature: divisor of the logits before a token is sampled.
        greedy: True to take the likeliest token every time, in place of sampling.
        max_new_tokens: length limit of a response.
        seed: number that fixes the draw: the same seed gives the same responses.
        template: the prompt's template: "as_asked", "think", "zero", "mini", ... or a .j2 file. None: as the model was
            trained, by the config.yaml of its run; "as_asked" where there is none.
        evidence: (left, top, right, bottom) as fractions of width and height, a box that `ral.overlay` draws.
        min_pixels: least area of an image or frame in pixels; None: as the model was trained, else 784.
        max_pixels: largest area of an image or frame in pixels; None: as the model was trained, else 4,014,080 for an
            image, 100,352 for a frame.
        max_frames: largest number of frames of a video; None: as the model was trained, else 128.

    Returns:
        The responses: `.texts`, and `.rollout` with ids, masks and log-probs. `ral.attention_rows` and `ral.overlay`
        take them.

    Raises:
        UserError: one line, such as for a file that is not there.
    """
    if count < 1:
        raise UserError(f"count={count} is too small: write 1 or more")
    shipped = model.processor.name == find(SHIPPED)
    given: dict[str, object] = {"checkpoint": SHIPPED if shipped else model.processor.name}
    given |= {"question": question, "template": template}
    given |= {"image": image, "video": video, "max_frames": max_frames}
    given |= {"min_pixels": min_pixels, "max_pixels": max_pixels}
    given |= {"evidence": None if evidence is None else ",".join(map(str, evidence))}
    settings = complete({name: str(value) for name, value in given.items() if value is not None})
    example = example_of(settings)
    pixels = read(settings, example, model.processor.patches.factor)
    sampling = Sampling(temperature, max_new_tokens, greedy=greedy)
    return ask(model, example, pixels, settings["template"], sampling, count, seed)


def attention_rows(
    answers: Asked,
    layer: int = -1,
    *,
    heads: Literal["mean"] | Sequence[int] = "mean",
    query: Literal["self", "previous"] = "self",
    keys: Literal["all", "prompt", "visual"] = "all",
) -> Float[Tensor, "N C K"]:
    """Compute the attention policy of RAL (arXiv 2602.04884, Eq. 2): where each token of each response looks.

    Args:
        answers: the responses from `ral.sample`.
        layer: index among the decoder layers with softmax attention; negative ones count from the last. -1 is the
            paper's.
        heads: "mean", or the indices of the heads that are averaged.
        query: "self", the token's own position; "previous", the position that produced it.
        keys: "all" earlier positions, those of the "prompt", or its "visual" ones; rows are renormalised over these.

    Returns:
        fp32 [N C K], on the CPU: N responses of C tokens (shorter ones are padded, their rows zero) over K positions,
        the P of the prompt first, then the response's own. A row sums to 1. `answers.prepared.visual[0]` marks the
        visual positions among the P.

    Raises:
        UserError: for a layer or head that the model does not have, a layer without softmax attention over all earlier
            tokens (such as one with a sliding window), and an unknown value of heads, query or keys.
    """
    return answers.rows(_spec(answers.policy, layer, heads, query, keys))[0]


def overlay(answers: Asked, number: int = 0, layer: int = -1) -> Image:
    """Draw the image, or frames of the video, as they are and under the attention of a response.

    The map is the attention on the visual tokens, renormalised: mean over heads, and over the tokens in the answer
    block (over the whole response where there is none), as `eval/grounding_answer` has it (docs/metrics.md).

    Args:
        answers: the responses from `ral.sample`.
        number: index of the response, from 0.
        layer: index among the decoder layers with softmax attention; negative ones count from the last.

    Returns:
        A PIL image, which a notebook shows.

    Raises:
        UserError: for an index without response, a layer that the model does not have, or one without softmax attention
            over all earlier tokens.
    """
    from ral.evaluation.attention_map import MappedAnswer
    from ral.evaluation.looks import grounding
    from ral.report.sheet import attention_of, plain, sheet, strip

    if not 0 <= number < len(answers.texts):
        raise UserError(f"number={number}: there are {len(answers.texts)} answers, 0 to {len(answers.texts) - 1}")
    found, block = answers.map(answers.rows(_spec(answers.policy, layer)), number)
    share = grounding(answers.example, found)
    answer = MappedAnswer(f"answer {number}", answers.texts[number], block, found, share)
    seen, evidence, peak = attention_of(found), answers.example.evidence, max(found["weights"])
    under = strip(seen, evidence, answers.pixels, peak, answer.caption)
    return sheet([plain(seen, evidence, answers.pixels), under], peak)


def _spec(
    model: MLLM,
    layer: int,
    heads: Literal["mean"] | Sequence[int] = "mean",
    query: Literal["self", "previous"] = "self",
    keys: Literal["all", "prompt", "visual"] = "all",
) -> AttentionSpec:
    """Return the AttentionSpec of these values. UserError for unknown values, and layers or heads that do not fit.

    Messages name `layer`, `heads`, ... in place of keys of the configuration.
    """
    try:
        spec = AttentionSpec((layer,), heads, query, keys)
        check_spec(spec, [model])
    except (ValueError, UserError) as error:
        words = str(error)
        for theirs, ours in {"algo.": "", "attention_policy.layers": "layer", "attention_policy.": ""}.items():
            words = words.replace(theirs, ours)
        raise UserError(words) from error
    return spec
