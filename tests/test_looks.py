"""Where responses look: how hard, at what, step by step; and that layers which look are layers whose cut costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, make_prompts, native
from scipy.stats import spearmanr
from test_models_shared_prompt import plain_rows

from ral.data.media import MediaReader, MediaSettings
from ral.data.samples import Sample
from ral.evaluation.held_out import evaluate_prompts
from ral.evaluation.looks import looks_of, step_spans, tokens_in
from ral.learner.collate import Collate
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.ops.grounding import evidence_tokens, hardest, hardness
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.types import Cut, Evidence, PromptBatch, Rollout, Scores, Step
from ral.worlds.visual_search import source

LEFT = (0.0, 0.0, 0.5, 1.0)


def test_hardness_is_share_times_concentration() -> None:
    seen = torch.tensor([[0.2] * 4, [0.8, 0, 0, 0], [0.25, 0.25, 0, 0], [0.0] * 4])
    assert hardness(seen).tolist() == pytest.approx([0, 0.8, 0.5 * (1 - math.log(2) / math.log(4)), 0], abs=1e-6)
    assert hardness(torch.tensor([[0.3], [0.0]])).tolist() == pytest.approx([0.3, 0])


def test_the_hardest_look_at_least_half_as_hard_as_the_hardest_among_them() -> None:
    hard, some = torch.tensor([0.9, 0.4, 0.2, 0.1, 0.0]), torch.tensor([False, True, True, True, True])
    assert hardest(hard, torch.ones(5, dtype=torch.bool)).tolist() == [True, False, False, False, False]
    assert hardest(hard, some).tolist() == [False, True, True, False, False]
    assert not hardest(hard, torch.zeros(5, dtype=torch.bool)).any()


def test_steps_are_found_one_behind_the_other() -> None:
    up, down = Step("1 1 up", (LEFT,)), Step("2 1 up", (LEFT,))
    text = "<think>1 1 up 2 1 up 1 1 up</think>"
    assert [span for _, span in step_spans((up, down, up), text)] == [(7, 13), (14, 20), (21, 27)]
    assert [step for step, _ in step_spans((down, up), text)] == [down, up]
    assert step_spans((down, down, up), text) == [(down, (14, 20)), (up, (21, 27))]  # a step that is not taken


def asked(model: MLLM, steps: tuple[Step, ...] = ()) -> PromptBatch:
    prompts = make_prompts(model, (("image",), ("video",), ("image", "image"), ()))
    own = [replace(e, evidence=(Evidence(LEFT),) if e.media else (), steps=steps) for e in prompts.examples]
    return replace(prompts, examples=tuple(own))


def test_looks_equal_a_slow_loop_over_transformers_own_attention(
    load: Callable[..., MLLM], model_folder: Callable[..., Path]
) -> None:
    """Rows of the position before each token, of one layer; the first token's is the prompt's last."""
    model = load()
    prompts = asked(model)
    rollout = native(1, temperature=1.0, max_new_tokens=7)(model, model.prepare(prompts), 1)
    rows = rows_of(model, rollout, (1,))
    for n, (grids, valid) in enumerate(zip(prompts.grids, prompts.valid, strict=True)):
        found = looks_of(model.processor, rollout, rows[n], n)
        if not grids:
            assert found.grounding is found.grounding_all is found.pointing is found.attention is None
            continue
        with torch.no_grad():
            out = plain_rows(model_folder, "qwen2_5_vl", model, prompts, rollout.token_ids, rollout.valid, n, 1)
        attention, p = out.attentions[1][0].mean(0), int(valid.sum())
        size = math.prod(grids[0])
        places = [i for i, there in enumerate(prompts.visual[n][valid].tolist()) if there][:size]
        inside = evidence_tokens([Evidence(LEFT)], grids[0], 0.0).flatten()
        hard, shares, rows_within = [], [], []
        for t in range(int(rollout.trainable[n].sum())):
            seen = attention[p + t - 1][places]
            within = seen / seen.sum()
            hard.append(float(seen.sum() * (1 + (within * within.log()).sum() / math.log(size))))
            shares.append(float(within[inside].sum()))
            rows_within.append(within)
        top = [share for share, h in zip(shares, hard, strict=True) if h >= max(hard) / 2]
        assert found.grounding == pytest.approx(np.mean(top), abs=1e-5)
        chosen = [row for row, h in zip(rows_within, hard, strict=True) if h >= max(hard) / 2]
        assert found.pointing == float(inside[torch.stack(chosen).mean(0).argmax()])
        assert found.grounding_all == pytest.approx(np.mean(shares), abs=1e-5)


@pytest.mark.parametrize("layers", [(1,), (0, 2)])
def test_records_hold_the_looks_of_producing_positions(load: Callable[..., MLLM], layers: tuple[int, ...]) -> None:
    """Whatever the query of the attention policy, which `grounding_answer` follows."""
    model = load()
    prompts, engine, greedy = asked(model), NativeEngine(model), Sampling(1.0, 7, greedy=True)
    none, spec = Scores(torch.zeros(len(prompts)), {}), AttentionSpec(layers=layers)
    passes = Forward(1.0, spec)
    records = evaluate_prompts(model, prompts, engine, greedy, lambda _: none, passes, all_layers=len(layers) > 1)
    rollout = engine.generate(model.prepare(prompts), 1, greedy, 0)
    rows = rows_of(model, rollout, layers)
    for n, record in enumerate(records):
        found = looks_of(model.processor, rollout, rows[n], n)
        assert record["grounding"] == pytest.approx(found.grounding) and record["attention"] == found.attention
        assert record["grounding_all"] == pytest.approx(found.grounding_all)
        if len(layers) > 1 and found.grounding is not None:
            assert len(record["grounding_by_layer"]) == model.depth


def rows_of(model: MLLM, rollout: Rollout, layers: tuple[int, ...]) -> torch.Tensor:
    """Rows [N C P] of producing positions."""
    passes = Forward(1.0, AttentionSpec(layers=layers, query="previous"))
    with torch.no_grad():
        states = passes.states(View(model, model.prepare(rollout.prompts)), rollout, attention=True)
    return states.attention.rows().mean(0)[..., : rollout.prompts.valid.shape[1]]  # type: ignore[union-attr]


def test_each_step_is_measured_by_its_own_tokens_and_boxes(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = asked(model)
    rollout = native(1, temperature=1.0, max_new_tokens=12)(model, model.prepare(prompts), 1)
    rows = rows_of(model, rollout, (0, 2))
    for n in range(3):
        text, length = rollout.texts[n], int(rollout.trainable[n].sum())
        assert length > 4 and len(text) > 8
        words = (text[: len(text) // 2], text[len(text) // 2 :])
        steps = (Step(words[0], (LEFT,)), Step("never said", (LEFT,)), Step(words[1], ((0.5, 0.0, 1.0, 1.0),)))
        halves = []
        for word, step, start in ((words[0], steps[0], 0), (words[1], steps[2], len(words[0]))):
            own = torch.tensor(tokens_in(model.processor, rollout, n, start, start + len(word)))
            visual = prompts.visual[n].nonzero().squeeze(-1)[: math.prod(prompts.grids[n][0])]
            seen = rows[n, :length][:, visual]
            inside = evidence_tokens([Evidence(step.boxes[0])], prompts.grids[n][0], 0.0).flatten()
            top = seen[hardest(hardness(seen), own)]
            halves.append(float((top[:, inside].sum(-1) / top.sum(-1)).mean()))
        with_steps = replace(
            rollout, prompts=replace(prompts, examples=tuple(replace(e, steps=steps) for e in prompts.examples))
        )
        found = looks_of(model.processor, with_steps, rows[n], n)
        assert found.grounding_steps == pytest.approx(sum(halves) / 2, abs=1e-5)
        assert looks_of(model.processor, rollout, rows[n], n).grounding_steps is None


# ------------------------------------------------------------------------------- grounding and knock-out, by layer

QUESTIONS = 80
OVER_LAYERS, OVER_QUESTIONS, OF_ANSWERS = 0.6, 0.35, 0.2
"""Rank correlations: the least of grounding over layers, and over layers and questions; the most of answer tokens."""


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Questions that ask for a description of something in a picture."""
    settings = {"grid": 4, "clip_grid": 3, "frames": 8, "distractors": 3, "clip_share": 0.0, "free_form_share": 1.0}
    root = tmp_path_factory.mktemp("data")
    return list(source("validation", root=root, sizes={"validation": QUESTIONS}, seed=1, **settings))


def by_layer(folder: str, examples: list[Any]) -> dict[str, np.ndarray]:
    """[layers, questions]: both groundings, and nats of the response that a cut of the evidence in it alone costs."""
    model = MLLM.load(str(ROOT / folder))
    reader = MediaReader(MediaSettings(image_min_pixels=784, factor=model.processor.patches.factor))
    samples = [Sample(example, tuple(map(reader.read, example.media))) for example in examples]
    prompts = Collate(model.processor, ("mini", "mini_zero"), thinking=True).prompts(samples)
    greedy, passes = Sampling(1.0, 32, greedy=True), Forward(1.0, AttentionSpec())
    engine, none = NativeEngine(model), Scores(torch.zeros(len(examples)), {})
    records = evaluate_prompts(model, prompts, engine, greedy, lambda _: none, passes, all_layers=True)
    prepared = model.prepare(prompts)
    with torch.no_grad():
        rollout = engine.generate(prepared, 1, greedy, 0)

        def nats(cut: Cut | None) -> np.ndarray:
            states = passes.states(View(model, replace(prepared, cut=cut)), rollout, attention=False)
            log_probs, _ = passes.log_probs(model, states, rollout)
            return -(log_probs * rollout.trainable).sum(1).numpy()

        nothing = torch.zeros_like(prompts.valid)
        cuts = [Cut(prompts.evidence, nothing, True, frozenset({layer})) for layer in range(model.depth)]
        costs = [nats(cut) - nats(None) for cut in cuts]
    answers = []
    for layer in range(model.depth):
        own = replace(passes, spec=AttentionSpec(layers=(layer,)))
        found = evaluate_prompts(model, prompts, engine, greedy, lambda _: none, own)
        answers.append([r["grounding_answer"] for r in found])
    new = np.array([r["grounding_by_layer"] for r in records]).T
    return {"cost": np.array(costs), "grounding": new, "grounding_answer": np.array(answers)}


@pytest.mark.slow
def test_layers_whose_cut_costs_are_layers_that_look(descriptions: list[Any]) -> None:
    """Over the 8 layers of both shipped models, and over layers and questions, where answer tokens tell nothing."""
    found = [by_layer(folder, descriptions) for folder in ("assets/tiny_teacher", "assets/tiny")]
    cost, new, old = (
        np.concatenate([one[name] for one in found]) for name in ("cost", "grounding", "grounding_answer")
    )
    assert spearmanr(cost.mean(1), new.mean(1)).statistic >= OVER_LAYERS
    assert spearmanr(cost.ravel(), new.ravel()).statistic >= OVER_QUESTIONS
    assert spearmanr(cost.ravel(), old.ravel()).statistic <= OF_ANSWERS
