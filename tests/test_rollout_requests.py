"""Prompts as an engine in another process takes them, fresh and in the middle of a trajectory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import MIXED, make_pixels, make_prompts
from test_trajectories import a_case, sides

from ral.checks.family_case import expanded
from ral.models.mllm import MLLM
from ral.models.registry import FAMILIES
from ral.models.sight import see
from ral.models.states import TokenRows
from ral.rollout.requests import Request, requests
from ral.rollout.turns import continued
from ral.types import Pixels, Prepared, Segment, Trajectory


def embeddings(model: MLLM, pixels: Pixels) -> torch.Tensor:
    """What the vision tower makes of one medium alone."""
    processor = model.processor
    tensors, _ = processor.family.pixels.tensors([pixels], processor.patches)
    encoded = processor.family.network.encode(model.network.model, tensors)
    (parts,) = encoded.values()
    return parts[0]


def check(model: MLLM, prepared: Prepared, media: list[list[Pixels]], found: list[Request]) -> None:
    """Ids expand to those that training reads; each medium has its grid and what the tower says of it."""
    processor = model.processor
    for n, request in enumerate(found):
        grids = prepared.prompts.grids[n]
        whole = prepared.token_ids[n][prepared.valid[n]].tolist()
        assert expanded(processor, request.token_ids, media[n], grids) == whole
        assert sum(i in (processor.image_id, processor.video_id) for i in request.token_ids) == len(media[n])
        assert [(m.kind, m.grid) for m in request.media] == [(p.kind, g) for p, g in zip(media[n], grids, strict=True)]
        for medium, pixels in zip(request.media, media[n], strict=True):
            torch.testing.assert_close(medium.states, embeddings(model, pixels), atol=1e-5, rtol=1e-4)
            assert medium.deepstack.shape == (len(prepared.seen.deepstack), *medium.states.shape)
        joined = [m.deepstack for m in request.media]
        if joined:
            assert torch.equal(torch.cat(joined, 1), prepared.seen.deepstack[:, n, prepared.visual[n]])


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_have_one_placeholder_and_the_embeddings_of_each_medium(family: str, load: Callable[..., MLLM]) -> None:
    model = load(family)
    prompts = make_prompts(model, MIXED)
    s = max(model.processor.patches.factor, 28)
    media = [
        [make_pixels(k, 10 * i + j, (2 * s, (2 + i) * s)) for j, k in enumerate(kinds)] for i, kinds in enumerate(MIXED)
    ]
    with torch.no_grad():
        prepared = model.prepare(prompts)
        check(model, prepared, media, requests(prepared))
        part = prepared.take([3, 0])
        check(model, part, [media[3], media[0]], requests(part))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_continued_prompt_has_them_of_what_was_shown_too(family: str, load: Callable[..., MLLM]) -> None:
    """The ids of a turn stay as sampled; a cut one is ended; pixels are held by the trajectories alone."""
    model = load(family)
    case, processor = a_case(model), model.processor
    said = [Segment((7 + n, 9, 11), sampled=True) for n in range(4)]
    clip, crop = make_pixels("video", 21, sides(model, 2, 2)), make_pixels("image", 22, sides(model, 3, 2))
    shown = [
        processor.turn("the star <image> from near", [crop], ended=False),
        processor.turn("red and blue"),
        processor.turn("<video> A. red <image>", [clip, crop]),
        processor.turn("Think"),
    ]
    begun = [Trajectory(pair, "length") for pair in zip(said, shown, strict=True)]
    with torch.no_grad():
        longer = continued(model, model.prepare(case.prompts), begun)
        media = [[*case.pixels[n // 2], *shown[n].media] for n in range(4)]
        found = requests(longer)
        check(model, longer, media, found)
    assert longer.prompts.media == {}
    for n, request in enumerate(found):
        ids, own = case.prompts.wordings[n // 2].token_ids, said[n].token_ids
        assert request.token_ids[: len(ids) + len(own)] == (*ids, *own)
        assert longer.prompts.texts[n] == processor.tokenizer.decode(request.token_ids)
    assert found[0].token_ids[len(case.prompts.wordings[0].token_ids) + 3] == processor.end_id


def test_rows_without_media_have_no_visual_states(load: Callable[..., MLLM]) -> None:
    model = load()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        seen = see(model.network, model.processor, TokenRows(ids, ids > 0, {}))
        (request,) = requests(model.prepare(make_prompts(model, ((),))))
    assert not bool(seen.states.any()) and request.media == () and len(request.token_ids) > 3
