"""Steps of a reasoning judged one at a time: numbers by hand, a network made to look, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from ral.data.media import MediaReader, MediaSettings
from ral.data.prompts import render
from ral.evaluation.steps import StepFigures, figures, judged, read_steps, spans, step_of_tokens
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.types import Example, PromptBatch, Step, UserError
from ral.worlds.visual_path import source

BOX = ((0.0, 0.0, 0.5, 0.5),)


def steps(*texts: str) -> tuple[Step, ...]:
    return tuple(Step(text, BOX) for text in texts)


def test_steps_are_found_one_behind_the_other() -> None:
    text = "<think>2 3 left 2 2 left 2 3 left</think>"
    assert spans(text, steps("2 3 left", "2 2 left", "2 3 left"), "x") == [(7, 15), (16, 24), (25, 33)]


def test_a_step_that_the_response_does_not_say_is_named() -> None:
    with pytest.raises(UserError, match="entry 7: field 'steps': '2 2 up' is not in the response"):
        spans("<think>2 3 left</think>", steps("2 3 left", "2 2 up"), "entry 7")


def test_tokens_belong_to_the_step_that_they_say_and_white_space_to_none() -> None:
    #                                 <think>  red  " star"  " "  2 " 3"  </think>
    found = step_of_tokens(starts=[0, 7, 10, 15, 16, 17, 19], length=27, found=[(7, 15), (16, 19)])
    assert found == [-1, 0, 0, -1, 1, 1, -1]
    assert step_of_tokens(starts=[0, 7, 10], length=15, found=[(11, 15)]) == [-1, -1, 0]  # " star" says "star"


def test_a_step_is_judged_by_its_first_wrong_token_or_its_last() -> None:
    right = torch.tensor([True, True, True, True, False, False, True])
    of = torch.tensor([-1, 0, 0, 1, 1, 1, 2])
    rows = torch.zeros(7, 3)
    for token, place in enumerate([0, 1, 2, 1, 2, 1, 0]):
        rows[token, place] = 1.0
    places = torch.tensor([[False, False, True], [False, True, False], [False, True, False]])
    assert judged(right, of, rows, places) == ([True, False, True], [True, False, False])


def test_figures_by_hand() -> None:
    found = figures([True, True, True, False, False, False, False], [True, True, False, False, False, False, True])
    assert found == StepFigures(7, pytest.approx(3 / 7), pytest.approx(3 / 4), pytest.approx(1 / 3))  # type: ignore[arg-type]
    assert figures([True], [True]).wrong_looks is None and figures([False], [True]).right_looks is None
    with pytest.raises(UserError, match="no entry has steps"):
        figures([], [])


def prompts_of(policy: MLLM, examples: Sequence[Example]) -> PromptBatch:
    reader = MediaReader(MediaSettings(image_min_pixels=784, video_min_pixels=784))
    pixels = [[reader.read(example.media[0])] for example in examples]
    return policy.processor.batch(examples, [render(example, "mini") for example in examples], pixels)


def test_steps_of_entries_of_every_kind_and_length_are_judged_once(tmp_path: Path) -> None:
    policy = load("assets/tiny_teacher")
    examples = list(source("validation", root=tmp_path, sizes={"validation": 8}, seed=0, shortest=1, longest=3))
    prompts = prompts_of(policy, examples)
    said, hit = read_steps(policy, prompts)
    assert len(said) == len(hit) == sum(len(example.steps) for example in examples)
    with torch.no_grad():  # a network without preferences says token 0 everywhere
        for weight in policy.network.parameters():
            weight.zero_()
    assert not any(read_steps(policy, prompts)[0])


def test_steps_are_those_of_the_eager_network(tmp_path: Path) -> None:
    """Token and attention are Transformers' own, at the position in front of the token that decides."""
    policy = load("assets/tiny")
    network = AutoModelForImageTextToText.from_pretrained("assets/tiny", attn_implementation="eager").eval()
    examples = list(source("validation", root=tmp_path, sizes={"validation": 12}, seed=0, kinds=["looks", "arrows"]))
    wanted: tuple[list[bool], list[bool]] = ([], [])
    for example in examples:
        alone = prompts_of(policy, [example])
        response = policy.processor.response_ids(f"<think>{example.thought}</think><answer>{example.answer}</answer>")
        ids = torch.cat([alone.token_ids[0], torch.tensor(response)])[None]
        kinds = (ids == policy.processor.image_id).int()
        media = {name: alone.media[name] for name in ("pixel_values", "image_grid_thw")}
        with torch.no_grad():
            out = network(input_ids=ids, mm_token_type_ids=kinds, output_attentions=True, **media)
        likely, looks = out.logits[0].argmax(-1), out.attentions[-1][0].mean(0)
        words, before = [policy.processor.decode([token]) for token in response], alone.token_ids.shape[1]
        lengths = np.cumsum([len(word) for word in words])
        said = 0
        for step in example.steps:
            said = "".join(words).index(step.text, said) + len(step.text)
            at = before + int(np.searchsorted(lengths, said - len(step.text), side="right"))
            end = before + int(np.searchsorted(lengths, said, side="left"))
            wrong = [n for n in range(at, end + 1) if likely[n - 1] != ids[0, n]]
            token = wrong[0] if wrong else end
            row, column = divmod(int(looks[token - 1][kinds[0].bool()].argmax()), 4)
            left, top, right, bottom = step.boxes[0]
            wanted[0].append(not wrong)
            wanted[1].append(left < (column + 0.5) / 4 < right and top < (row + 0.5) / 4 < bottom)
    assert read_steps(policy, prompts_of(policy, examples)) == wanted and True in wanted[1]
