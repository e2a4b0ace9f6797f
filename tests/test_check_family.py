"""A family held against Transformers: those of this project, and some from outside that differ or are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, ROOT
from torch import Tensor

from ral.checks.family import CHECKS, check_family
from ral.checks.family_case import Case, make_case
from ral.errors import UserError
from ral.models.families.internvl import TEMPLATE, counted_positions
from ral.models.family import IMAGE, Family, PatchSettings, Placeholders, Turns
from ral.models.patches import encode_grids, patch_media
from ral.models.recipe import CHAT_TEMPLATE
from ral.models.registry import FAMILIES
from ral.types import Grid, Pixels

QWEN2_VL = FAMILIES["qwen2_vl"]
GLM = Turns(end="<|user|>", starts=("<|assistant|>", "<|system|>"))
"""A turn of the policy ends with what begins the user's next."""
GLM_TEMPLATE = (
    CHAT_TEMPLATE.replace("<|im_start|>{{ message['role'] }}", "<|{{ message['role'] }}|>")
    .replace("<|im_start|>assistant", "<|assistant|>")
    .replace("<|im_end|>\n", "")
)
VICUNA = Turns(end="</s>", starts=(), text_end="</s>")
"""Turns begin with plain words."""
VICUNA_TEMPLATE = (
    CHAT_TEMPLATE.replace("<|im_start|>{{ message['role'] }}\n", "{{ message['role'] | upper }}: ")
    .replace("<|im_start|>assistant\n", "ASSISTANT:")
    .replace("<|im_end|>\n", "</s>")
)


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(family) -> {name of a check: (passed, line)}, with the family in place of the one with its model_type."""

    def found(family: Family) -> dict[str, tuple[bool, str]]:
        monkeypatch.setitem(FAMILIES, family.model_type, family)
        return {line.split()[0]: (passed, line) for passed, line in check_family(family, tmp_path / "model")}

    return found


def turned(name: str, turns: Turns, template: str) -> Family:
    """A family of this project with other turns."""
    family = FAMILIES[name]
    return replace(family, turns=turns, recipe=replace(family.recipe, chat_template=template))


def one_mark(name: str, token: str, template: str) -> Family:
    """A family of this project whose clips are written like pictures."""
    family = FAMILIES[name]
    clips = {key: token for key in family.recipe.token_ids if key == "video_token_id"}
    recipe = replace(family.recipe, chat_template=template, token_ids=family.recipe.token_ids | clips)
    return replace(family, placeholders=Placeholders(token, token, {token: IMAGE}), recipe=recipe)


@pytest.mark.parametrize(
    "family",
    [
        *FAMILIES.values(),
        turned("qwen3_vl", GLM, GLM_TEMPLATE),
        turned("qwen2_vl", VICUNA, VICUNA_TEMPLATE),
        one_mark("internvl", "<IMG_CONTEXT>", TEMPLATE.replace("<video>", "<IMG_CONTEXT>")),
    ],
    ids=[*FAMILIES, "turns of GLM", "turns of Vicuna", "clips with the picture's placeholder"],
)
def test_a_family_equals_transformers(family: Family, lines: Any) -> None:
    found = lines(family)
    assert list(found) == ["load", *CHECKS]
    assert [line for passed, line in found.values() if not passed] == []


def test_responses_end_and_texts_are_refused_by_the_family_s_own_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under other turns, ChatML's tokens are text like any other."""
    monkeypatch.setitem(FAMILIES, "qwen3_vl", family := turned("qwen3_vl", GLM, GLM_TEMPLATE))
    case: Case = make_case(tmp_path / "m", family)
    processor = case.processor
    ids = processor.tokenizer.convert_tokens_to_ids(["<|user|>", "<|endoftext|>", "<|assistant|>"])
    assert processor.end_ids == tuple(ids[:2]) and processor.response_ids("red")[-1] == ids[0]
    assert not bool(processor.banned[ids[:2]].any()) and bool(processor.banned[ids[2]])
    assert [processor.intruder(f"a {t} b") for t in ("<|assistant|>", "<|user|>", "<|im_end|>")] == [
        "control token <|assistant|>",
        "control token <|user|>",
        None,
    ]
    assert case.prompts.texts[2] == "<|user|>\nWhat color is the star? Think Think<|assistant|>\n"
    assert processor.tokenizer.decode(processor.turn("Think", ended=False).token_ids) == (
        "<|user|>\nThink<|assistant|>\n"
    )


def shifted(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Patches of another brightness."""
    tensors, grids = patch_media(pixels, settings)
    return {k: v + 0.1 if k == "pixel_values" else v for k, v in tensors.items()}, grids


def fewer(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Grids that lack a column."""
    tensors, grids = patch_media(pixels, settings)
    return tensors, [(t, h, w - 1) for t, h, w in grids]


def backwards(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """The last visual token first."""
    return {kind: [part.flip(0) for part in parts] for kind, parts in encode_grids(model, media).items()}


def detached(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """Embeddings without their graph."""
    return {kind: [part.detach() for part in parts] for kind, parts in encode_grids(model, media).items()}


@pytest.mark.parametrize(
    ("part", "wrong", "failing", "words"),
    [
        ("pixels", {"tensors": shifted}, {"tensors"}, "8-bit levels: 7"),
        ("pixels", {"tensors": fewer}, {"positions", "log-probs", "attention", "paths", "engine", "towers"}, "embedd"),
        ("network", {"positions": counted_positions}, {"positions", "log-probs", "attention"}, "continuations"),
        ("network", {"encode": backwards}, {"log-probs", "attention"}, "log-probs of sampled tokens"),
        ("network", {"encode": detached}, {"towers"}, "without a gradient"),
        ("network", {"towers": ("eyes",)}, {"load"}, "eyes"),
    ],
    ids=["pixels", "grids", "positions", "order", "graph", "towers"],
)
def test_a_mistake_fails_the_check_that_is_for_it(
    part: str, wrong: dict[str, Any], failing: set[str], words: str, lines: Any
) -> None:
    family = FAMILIES["qwen2_vl"]
    found = lines(replace(family, **{part: replace(getattr(family, part), **wrong)}))
    failed = {name: line for name, (passed, line) in found.items() if not passed}
    assert failed.keys() == failing and words in "\n".join(failed.values())


def clip_as_picture(pixels: Pixels, settings: PatchSettings) -> str:
    """One run, whatever it is."""
    return "<|image_pad|>"


def refused(family: Family, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line by which a random model of a family is refused when it is loaded."""
    monkeypatch.setitem(FAMILIES, family.model_type, family)
    with pytest.raises(UserError) as told:
        make_case(folder, family)
    return str(told.value)


def test_clips_that_cannot_be_told_are_refused_at_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = CHAT_TEMPLATE.replace("<|video_pad|>", "<|image_pad|>")
    family = one_mark("qwen2_vl", "<|image_pad|>", template)
    assert refused(family, tmp_path / "a", monkeypatch) == (
        "family qwen2_vl: pixels.expand leaves for a clip no placeholder; name there what it leaves: <|image_pad|>"
    )
    apart = replace(family, pixels=replace(family.pixels, expand=clip_as_picture))
    assert refused(apart, tmp_path / "b", monkeypatch) == (
        "family qwen2_vl: 2 tokens of kind IMAGE in the prompts, and network.encode returns 1 embeddings of it; "
        "let placeholders.kinds give each placeholder the kind that it uses"
    )
    known = Placeholders("<|image_pad|>", "<|video_pad|>", {"<|image_pad|>": IMAGE})
    assert refused(replace(QWEN2_VL, placeholders=known), tmp_path / "c", monkeypatch) == (
        "family qwen2_vl: pixels.expand leaves for a clip <|video_pad|>, of which placeholders.kinds does not say the "
        "kind; name there what it leaves: <|image_pad|>"
    )


@pytest.mark.slow
def test_the_command_names_a_family_from_outside(tmp_path: Path) -> None:
    """Exit code 0 and nine lines for the page's own one, 1 for one with a mistake; one line where it is none."""
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from ral.models.families.internvl import counted_positions\n"
        "from ral.models.registry import FAMILIES\n"
        "GOOD = FAMILIES['qwen2_vl']\n"
        "WRONG = replace(GOOD, network=replace(GOOD.network, positions=counted_positions))\n"
        "FAMILIES['qwen2_vl'] = WRONG\n"
    )
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}

    def call(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "check_family.py"), name]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)

    good, wrong, none = call("qwen2_vl"), call("model.family=mine.WRONG"), call("mine.NONE")
    assert (good.returncode, wrong.returncode, none.returncode) == (0, 1, 1), good.stderr + wrong.stderr
    assert [line[:6] for line in good.stdout.splitlines()] == ["ok    "] * (1 + len(CHECKS))
    assert [line.split()[1] for line in wrong.stdout.splitlines() if line.startswith("FAILED")] == [
        "positions",
        "log-probs",
        "attention",
    ]
    assert none.stderr.startswith("error: family=mine.NONE: cannot be imported") and none.stdout == ""


def test_other_errors_than_ours_are_one_line(lines: Any) -> None:
    def broken(model: Any, rows: Any, kinds: Tensor) -> Tensor:
        raise KeyError("two\nlines")

    family = FAMILIES["qwen2_vl"]
    found = lines(replace(family, network=replace(family.network, positions=broken)))
    assert found["load"][0] and found["positions"] == (False, "positions  KeyError: 'two\\nlines'")
    assert torch.is_grad_enabled()
