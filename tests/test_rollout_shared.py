"""Questions on the same picture or clip from one prefill: the same answers as asked one by one, and nothing twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import make_pixels

from ral.evaluation import shared_questions as sharing
from ral.evaluation.shared_questions import buckets, common, openings, respond, share
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.types import Example, Media

ASKED = (
    (("video",), "What color is the star?"),
    (("image",), "Think, then answer."),
    (("video",), "What color is the star? Think red, then answer B."),
    ((), "red or blue?"),
    (("video",), "What color is"),
    (("image",), "Think, then answer. Think, then answer."),
    (("image", "video"), "blue?"),
    ((), "red or blue?"),
)
"""Three questions on one clip (the fifth is how the first begins), two on a picture, one on both, two on nothing."""


def questions(model):
    """Examples, texts and media of ASKED; a medium's file is named after its kind."""
    examples = [
        Example(f"q{n}", "q", "red", "free-form", tuple(Media(k, Path(f"{'+'.join(kinds)}.{k}")) for k in kinds))
        for n, (kinds, _) in enumerate(ASKED)
    ]
    s = max(model.processor.patches.factor, 28)
    pixels = [tuple(make_pixels(k, len(kinds), (2 * s, 3 * s)) for k in kinds) for kinds, _ in ASKED]
    return examples, [text for _, text in ASKED], pixels


def one_by_one(sampling, model, examples, texts, pixels, seed):
    rollouts = [
        NativeEngine(model).generate(model.prepare(model.processor.batch([e], [t], [m])), 1, sampling, seed)
        for e, t, m in zip(examples, texts, pixels, strict=True)
    ]
    return [(r.texts[0], bool(r.finished[0])) for r in rollouts], [r.prompts.texts[0] for r in rollouts]


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize(
    "family",
    ["qwen2_5_vl", *(pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES if f != "qwen2_5_vl")],
)
def test_answers_are_those_of_questions_asked_one_by_one(family: str, greedy: bool, load) -> None:
    model = load(family)
    sampling = Sampling(temperature=1.2, max_new_tokens=9, greedy=greedy)
    examples, texts, pixels = questions(model)
    joint = share(model.processor, examples, texts, pixels)
    answers, prompts = one_by_one(sampling, model, examples, texts, pixels, 3)
    assert respond(NativeEngine(model), model, joint, sampling, 3) == answers
    assert list(joint.texts) == prompts
    assert len({text for text, _ in answers}) > 3


def test_the_plain_path_shares_nothing(model_folder) -> None:
    model = PlainMLLM.load(str(model_folder()))
    sampling = Sampling(temperature=1.2, max_new_tokens=5)
    asked = questions(model)
    answers, _ = one_by_one(sampling, model, *asked, 1)
    apart = share(model.processor, *asked, model.shares)
    assert apart.places == tuple((n,) for n in range(len(ASKED)))
    assert respond(NativeEngine(model), model, apart, sampling, 1) == answers


def test_some_answers_end_and_others_are_cut(load) -> None:
    """With the end token among the likeliest, answers of one decoding batch finish at different lengths."""
    model = load()
    sampling = Sampling(temperature=1.0, max_new_tokens=30)
    with torch.no_grad():
        model.network.lm_head.weight[model.processor.end_id] *= 3
    asked = questions(model)
    for seed in range(3):
        found = respond(NativeEngine(model), model, share(model.processor, *asked), sampling, seed)
        assert found == one_by_one(sampling, model, *asked, seed)[0]
    assert len({finished for _, finished in found}) == 2 or len({len(text) for text, _ in found}) > 4


def test_media_are_seen_and_heads_prefilled_once(load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load()
    examples, texts, pixels = questions(model)
    joint = share(model.processor, examples, texts, pixels)
    assert joint.places == ((0, 2, 4), (1, 5), (3,), (6,), (7,))
    patches = model.processor.batch([examples[n] for n in (0, 1, 6)], ["?"] * 3, [pixels[n] for n in (0, 1, 6)]).media
    assert len(joint.heads.media["pixel_values"]) == len(patches["pixel_values"])
    prefilled: list[int] = []
    prefill = model.prefill
    monkeypatch.setattr(
        model, "prefill", lambda p, *rest: (prefilled.append(int(p.prompts.valid.sum())), prefill(p, *rest))[1]
    )
    respond(NativeEngine(model), model, joint, Sampling(max_new_tokens=3, greedy=True), 0)
    assert sum(prefilled) == int(joint.heads.valid.sum())
    separate = model.processor.batch(examples, texts, pixels)
    assert sum(prefilled) < 0.7 * int(separate.valid.sum())


def test_a_question_on_its_own_has_no_tail(load) -> None:
    model = load()
    joint = share(model.processor, *questions(model))
    assert [len(tails[0]) for tails in joint.tails if len(tails) == 1] == [0, 0, 0]
    whole = [
        [*head[valid].tolist(), *tail]
        for head, valid, tails in zip(joint.heads.token_ids, joint.heads.valid, joint.tails, strict=True)
        for tail in tails
    ]
    examples, texts, pixels = questions(model)
    batch = model.processor.batch(examples, texts, pixels)
    order = [place for places in joint.places for place in places]
    assert whole == [batch.token_ids[n][batch.valid[n]].tolist() for n in order]


def test_common_beginnings() -> None:
    assert common([[1, 2, 3], [1, 2, 4, 5], [1, 2]]) == 2
    assert common([[1, 2]]) == 2 and common([[1], [2]]) == 0


def test_openings_are_filled_up() -> None:
    found = openings((((7, 8), (9,)), ((5,),)), pad=0)
    assert found.ids.tolist() == [[7, 8], [9, 0], [5, 0], [0, 0]]
    assert found.lengths.tolist() == [2, 1, 1, 0] and found.asked.tolist() == [True, True, True, False]


def test_heads_are_decoded_together_while_few_places_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts 1 6 2 1 4 5: 6 5 4 2 take 24 places for 17 questions, the first 1 makes 30 for 18, the other 36 for 19."""
    places = tuple(tuple(range(count)) for count in (1, 6, 2, 1, 4, 5))
    heads = SimpleNamespace(places=places, heads=SimpleNamespace(valid=torch.ones(6, 3, dtype=torch.bool)))
    assert [sorted(bucket) for bucket in buckets(heads)] == [[0, 1, 2, 3, 4, 5]]
    monkeypatch.setattr(sharing, "PLACES", 1.5)
    assert [sorted(bucket) for bucket in buckets(heads)] == [[1, 2, 4, 5], [0, 3]]
    monkeypatch.setattr(sharing, "PLACES", 1.0)
    assert [sorted(bucket) for bucket in buckets(heads)] == [[1], [5], [4], [2], [0, 3]]


def test_tails_take_one_pass_and_no_decoding_steps(load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load()
    joint = share(model.processor, *questions(model))
    passes: list[tuple[int, int]] = []
    decoder = model._decoder
    monkeypatch.setattr(model, "_decoder", lambda e, *rest: (passes.append(tuple(e.shape[:2])), decoder(e, *rest))[1])
    respond(NativeEngine(model), model, joint, Sampling(max_new_tokens=4, greedy=True), 0)
    longest = max(len(tail) for tails in joint.tails for tail in tails)
    heads = joint.heads.token_ids.shape
    assert passes == [tuple(heads), (heads[0], 3 * longest), *((heads[0], 3),) * 3]
