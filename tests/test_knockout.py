"""scripts/knockout.py: its figures on the shipped teacher, its interface, what it cuts, what it refuses, going on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, ROOT, load_script, make_prompts
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from PIL import Image
from scipy.stats import binomtest

from ral.checks.knockout import dataset_hash
from ral.errors import UserError
from ral.evaluation.knockout.conditions import ALL, Condition, conditions, label, layer_sets
from ral.evaluation.knockout.cuts import cut_of, first_medium
from ral.evaluation.knockout.measure import Answer
from ral.evaluation.knockout.results import content, reading, results_of, wilson
from ral.models.mllm import MLLM
from ral.types import PromptBatch

QUESTIONS = 80
TOLERANCE = 5.0
"""Points of accuracy by which figures may differ from those measured with code of another hand."""


def call(*settings: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "knockout.py"), *map(str, settings)]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=400)


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def here(*settings: str) -> None:
    """The script in this process, from the folder that is current; its errors are raised."""
    script = load_script("knockout")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("knockout", list(settings), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    try:
        with open_dict(cfg):
            del cfg["hydra"]
        script.check(cfg)
        script.main(cfg)
    finally:
        HydraConfig.instance().cfg = None


def refused(words: str, *settings: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        here(*settings)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_teachers_figures(tmp_path: Path) -> None:
    """Its think block reads the evidence, its question does not; asked without thinking, the question reads it."""
    settings = ("checkpoint=assets/tiny_teacher", "dataset=visual_search", f"limit={QUESTIONS}", "output=thinking")
    found = last_line(call(*settings, "draws=1", folder=tmp_path))
    known = {"none": 100, "evidence_from_response": 14, "evidence_from_question": 100, "evidence_from_both": 14}
    known |= {"placebo": 100, "medium_from_response": 16.5, "medium_from_question": 100}
    assert found["n"] == QUESTIONS and found["reading"].startswith("response")
    assert {name: found[name] for name in known} == pytest.approx(known, abs=TOLERANCE)
    answering = ("thinking=false", "cut=[evidence,placebo]", "draws=1", "output=answering")
    found = last_line(call(*settings[:3], *answering, folder=tmp_path))
    assert found["evidence_from_question"] < 50 < 80 < found["evidence_from_response"]
    assert found["reading"].startswith("question")


def test_the_interface_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("checkpoint=assets/tiny_teacher", "dataset=visual_search", "dataset.source.sizes.validation=12")
    few = ("limit=4", "draws=1", "batch=3", "output=out", "cut=[evidence,placebo]")
    done = call(*settings, *few, folder=tmp_path)
    found = last_line(done)
    names = {f"{key}_from_{part}" for key in ("evidence", "placebo") for part in ("response", "question", "both")}
    assert set(found) == {"n", "none", "placebo", "intervals", "reading"} | names
    assert found["n"] == 4 and found["none"] == 100.0 and found["placebo"] == found["placebo_from_both"]
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found
    assert "answers" in done.stderr and "evidence" in done.stdout
    with Image.open(tmp_path / "out" / "knockout.png") as image:
        narrow = image.size[0]
    path = tmp_path / "out" / "answers.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-5]) + lines[-5][:20])  # cut while it was written
    monkeypatch.chdir(tmp_path)
    here(*settings, *few, "layers=[1,-1]", "parts=[response]")
    again = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(again["layers"]) == {"1+3"}
    assert again["evidence_from_response"] == found["evidence_from_response"]
    after = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({(a["condition"], a["layers"], a["draw"], a["uid"]) for a in after}) == len(after) > len(lines)
    assert path.read_text().startswith("".join(lines[:-5]))  # what was done stays
    with Image.open(tmp_path / "out" / "knockout.png") as image:
        assert image.size[0] > narrow
    refused("output", *settings, *few, "seed=1")


def test_what_does_not_work_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    entry = {"question": "Which?", "answer": "red", "image": "a.png"}
    (tmp_path / "d.jsonl").write_text(json.dumps(entry) + "\n")
    own = ("checkpoint=assets/tiny_teacher", "dataset=jsonl", "dataset.path=d.jsonl", "dataset.validation_path=d.jsonl")
    own = (*own, "output=o", "dataset.media.image_min_pixels=784")
    refused("has evidence", *own)
    (tmp_path / "d.jsonl").write_text(json.dumps(entry | {"evidence": [{"box": [0, 0, 1, 1]}]}) + "\n")
    refused("1 of free-form, image", *own, "problem_types=[numerical]")
    refused("layers names layer 9", *own, "layers=[9]")
    refused("layers names layer 9", *own, "layers=9")
    refused(r"layers=1.5 is not known", *own, "layers=1.5")
    refused("checkpoint", "checkpoint=nowhere/at/all", "output=o")
    refused(r"cut=\[evidense\]", "cut=[evidense]", "output=o")
    refused("draws=0", "draws=0", "output=o")


def test_a_folder_of_answers_to_other_questions_is_refused(tmp_path: Path) -> None:
    """The hash in a folder's settings is of the dataset's files."""
    file = tmp_path / "d.jsonl"
    tree = {"dataset": {"path": str(file)}}
    hashes = []
    for text in ('{"question": "Which?"}', '{"question": "Where?"}', '{"question": "Which?"}'):
        file.write_text(text)
        hashes.append(dataset_hash(tree))
    assert hashes[0] == hashes[2] != hashes[1]


def test_help_names_what_the_last_line_holds(tmp_path: Path) -> None:
    helped = call("--help", folder=tmp_path)
    assert helped.returncode == 0 and "evidence_from_response" in helped.stdout
    failed = call("checkpoint=nowhere/at/all", folder=tmp_path)
    (line,) = failed.stderr.splitlines()
    assert failed.returncode == 1 and line.startswith("error: checkpoint=nowhere/at/all")


# ------------------------------------------------------------------------------------------------ what is cut


def with_evidence(model: MLLM) -> PromptBatch:
    """A picture, a clip, two pictures; some visual tokens of the first medium are evidence."""
    prompts = make_prompts(model, (("image",), ("video",), ("image", "image")))
    return replace(prompts, evidence=first_medium(prompts.visual, prompts.grids) & (prompts.visual.cumsum(1) <= 2))


def test_keys_and_queries_of_every_condition(load: Callable[..., MLLM]) -> None:
    prompts = with_evidence(load())
    medium = first_medium(prompts.visual, prompts.grids)
    sizes = [t * h * w for ((t, h, w), *_) in prompts.grids]
    assert medium.sum(1).tolist() == sizes and bool((medium[2] != prompts.visual[2]).any())
    for part in ("response", "question", "both"):
        for key, keys in (("evidence", prompts.evidence), ("medium", medium)):
            cut = cut_of(prompts, Condition(key, part, (1,)), seed=0)
            assert cut is not None and torch.equal(cut.keys, keys) and cut.layers == frozenset({1})
            assert cut.response == (part != "question")
            words = prompts.valid & ~prompts.visual
            assert torch.equal(cut.queries, words & (part != "response"))
            assert part == "response" or bool(cut.queries[:, -1].all())  # the row that decides the first token
    assert cut_of(prompts, Condition(), seed=0) is None


def test_placebos_are_as_many_other_tokens_of_the_medium_and_differ_by_draw(load: Callable[..., MLLM]) -> None:
    prompts = with_evidence(load())
    medium = first_medium(prompts.visual, prompts.grids)
    drawn = [cut_of(prompts, Condition("placebo", "both", draw=n), seed=0) for n in range(4)]
    for cut in drawn:
        assert cut is not None
        assert cut.keys.sum(1).tolist() == prompts.evidence.sum(1).tolist()
        assert not (cut.keys & prompts.evidence).any() and not (cut.keys & ~medium).any()
    assert len({tuple(cut.keys.flatten().tolist()) for cut in drawn if cut is not None}) > 1
    same = cut_of(prompts, Condition("placebo", "response", draw=1), seed=0)
    assert same is not None and drawn[1] is not None and torch.equal(same.keys, drawn[1].keys)


def test_sets_of_layers_and_their_names() -> None:
    assert layer_sets(ALL, 2, 4) == [] and layer_sets("each", 2, 3) == [(0,), (1,), (2,)]
    assert layer_sets("windows", 2, 4) == [(0, 1), (1, 2), (2, 3)] and layer_sets([-1, 0], 2, 4) == [(0, 3)]
    assert layer_sets(-1, 2, 4) == [(3,)]
    assert [label(s) for s in ((2,), (0, 1), (1, 2, 3), (0, 3))] == ["2", "0-1", "1-3", "0+3"]
    for layers, window in (("every", 2), ([4], 2), ([-5], 2), ("windows", 5), ([], 2)):
        with pytest.raises(UserError, match="layer"):
            layer_sets(layers, window, 4)
    plan = conditions(("evidence", "placebo"), ("response", "both"), 3, [(1,)])
    assert len(plan) == 1 + 2 * (2 + 6) and len({(c.name, c.where, c.draw) for c in plan}) == len(plan)


# ------------------------------------------------------------------------------------------------ results


def answers(name: str, rights: list[bool], draw: int = 0) -> list[Answer]:
    return [Answer(name, ALL, draw, str(n), right, "") for n, right in enumerate(rights)]


def test_intervals_are_wilsons_and_placebos_means_of_draws() -> None:
    for right, n in ((0, 5), (3, 7), (80, 80), (17, 64)):
        want = binomtest(right, n).proportion_ci(method="wilson")
        found = wilson(right, n)
        assert (found.low, found.high) == pytest.approx((100 * want.low, 100 * want.high), abs=1e-3)
    found = results_of(
        answers("none", [True] * 4)
        + answers("placebo_from_both", [True, True, True, False])
        + answers("placebo_from_both", [True, False, False, False], draw=1)
    )
    assert content(found, 4)["placebo"] == 50.0 and content(found, 4)["none"] == 100.0


@pytest.mark.parametrize(
    ("response", "question", "both", "none", "word"),
    [
        (14, 100, 14, 100, "response: its tokens read the evidence"),
        (86, 26, 10, 100, "question: its tokens read the evidence; a part is read by the response's"),
        (94, 100, 10, 100, "either"),
        (100, 99, 98, 100, "nothing"),
        (1, 2, 1, 2, "unknown"),
    ],
)
def test_the_reading_names_who_reads(response: int, question: int, both: int, none: int, word: str) -> None:
    whole = {"none": wilson(none, 100)}
    for part, right in (("response", response), ("question", question), ("both", both)):
        whole |= {f"evidence_from_{part}": wilson(right, 100), f"placebo_from_{part}": wilson(none, 100)}
    if "either" in word:
        whole |= {"evidence_from_response": wilson(99, 100)}
    assert reading({ALL: whole}).startswith(word)
    del whole["placebo_from_both"]
    assert reading({ALL: whole}).startswith("unknown")
