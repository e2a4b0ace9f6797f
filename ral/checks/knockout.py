"""A knockout of a checkpoint on a dataset, from a composed configuration.

In this module `cfg` is that configuration (conf/knockout.yaml).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from ral.config.as_trained import dataset_as_trained
from ral.config.check import overridden
from ral.config.contents import contents, plain_contents
from ral.data.bad import BadSample, Checked
from ral.data.media import media_reader
from ral.data.samples import Sample, Samples
from ral.errors import UserError
from ral.evaluating import load_policy
from ral.evaluation.benchmarks.items_file import check_settings
from ral.evaluation.knockout.conditions import conditions, layer_sets
from ral.evaluation.knockout.figure import draw
from ral.evaluation.knockout.measure import Answer, Knockout, measure
from ral.evaluation.knockout.results import Results, content, results_of, rows_of
from ral.files.first_answer import SETTINGS, occupied_once_answered
from ral.files.hashed import fingerprint, text_hash
from ral.files.repository import find
from ral.learner.collate import Collate
from ral.models.mllm import MLLM
from ral.rewards.accuracy import check_gold
from ral.rollout.engine import Sampling
from ral.types import Example, PromptBatch

ANSWERS = "answers.jsonl"
MADE = "visual_search"
TAUGHT = {"problem_types": ["free-form"], "data_types": ["image"]}
"""Questions of visual_search that are asked by default: the kinds that the shipped models were trained to answer."""
FREE = ("checkpoint", "output", "debug", "device", "threads", "layers", "window", "cut", "parts", "draws", "limit")
"""Settings on which no answer depends, so that a folder's earlier answers stay valid when they change."""


def knock_out(cfg: DictConfig) -> None:
    """Measure the answers under every condition, print the table, write the files; the last line printed is the result.

    That line is the content of results.json. UserError where the model, its `layers` or the data cannot be used, or the
    folder holds answers with other settings.
    """
    disable_progress_bar()  # of loading weights
    cfg, line = dataset_as_trained(cfg, overridden())
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    examples = instantiate(cfg.dataset.source)(split=cfg.split)
    places = with_evidence(cfg, examples)
    policy, folder = load_policy(cfg), Path(cfg.output)
    check_cuttable(policy, str(cfg.checkpoint))
    layers = list(cfg.layers) if OmegaConf.is_list(cfg.layers) else cfg.layers
    plan = conditions(cfg.cut, cfg.parts, cfg.draws, layer_sets(layers, cfg.window, policy.depth))
    knockout = Knockout(policy, plan, Sampling(1.0, cfg.dataset.max_new_tokens, greedy=True), cfg.seed)
    batches = Batches(cfg, policy, examples, places)
    with occupied_once_answered(folder, ANSWERS, folder):
        check_settings(folder / SETTINGS, settings_of(cfg))
        print(line, file=sys.stderr, flush=True)
        answers = ask(knockout, batches, min(len(places), cfg.limit or len(places)), folder / ANSWERS)
    batches.tell()
    show(results_of(answers), len({answer.uid for answer in answers}), folder)


def check_cuttable(policy: MLLM, checkpoint: str) -> None:
    """Raise UserError for a model with layers of linear attention.

    Their states carry on what a cut hides from softmax attention. checkpoint: its name, for the message.
    """
    if policy.linear:
        raise UserError(
            f"checkpoint={checkpoint}: a knock-out cuts softmax attention, and this model's layers of linear attention"
            " carry what is cut in their states; choose a model whose every layer has softmax attention"
        )


def settings_of(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings on which answers depend, as plain values, with hashes of the weights and the dataset."""
    own: Any = OmegaConf.to_container(cfg, resolve=True)
    own.pop("hydra", None)
    kept = {name: value for name, value in own.items() if name not in FREE}
    hashes = {"weights": fingerprint(find(cfg.checkpoint)), "dataset_content": dataset_hash(own)}
    return kept | wanted(cfg) | {"checkpoint": str(cfg.checkpoint)} | hashes


def dataset_hash(tree: Mapping[str, Any]) -> str:
    """Return a hash of the dataset's files, media and made data aside. tree: the configuration, resolved."""
    found = {key: content for key, content in contents(tree).items() if not content.made}
    return text_hash(json.dumps(plain_contents(found), sort_keys=True))[:16]


def wanted(cfg: DictConfig) -> dict[str, list[str] | None]:
    """Return the problem types and kinds of media that are asked, {key of TAUGHT: list}; None for all.

    A list that the settings leave out is that of TAUGHT for visual_search, and None for other data.
    """
    made = HydraConfig.get().runtime.choices["dataset"] == MADE
    chosen = {name: cfg[name] if cfg[name] is not None else own if made else None for name, own in TAUGHT.items()}
    return {name: None if value is None else list(value) for name, value in chosen.items()}


def with_evidence(cfg: DictConfig, examples: Sequence[Example]) -> list[int]:
    """Return the indices of the wanted entries with evidence and media; unreadable entries are included.

    UserError, with the reason, where there are none.
    """
    types, there, bad = wanted(cfg), Counter[str](), list[str]()
    found = []
    for at in range(len(examples)):
        try:
            example = examples[at]
        except BadSample as error:
            found.append(at)
            bad.append(str(error))
            continue
        if example.evidence and example.media:
            own = {"problem_types": example.problem_type, "data_types": example.media[0].kind}
            there[", ".join(own.values())] += 1
            if all(types[name] is None or value in (types[name] or ()) for name, value in own.items()):
                found.append(at)
    if not there:
        several = f"dataset: none of the {len(examples)} entries of split {cfg.split}"
        if len(bad) == len(examples) > 0:
            raise UserError(f"{several} can be used; the first: {bad[0]}")
        raise UserError(
            f"{several} has evidence: give entries the field evidence, boxes of what the question is about"
            f" (docs/data.md){f'; {len(bad)} cannot be used, the first: {bad[0]}' if bad else ''}"
        )
    if not found:
        kinds = "; ".join(f"{n} of {kind}" for kind, n in sorted(there.items()))
        raise UserError(f"problem_types, data_types: no entry with evidence is of these; there are {kinds}")
    return found


@dataclass
class Batches:
    """Batches of prompts as in training, from the first cfg.limit usable entries. places: indices of entries to try.

    skipped: a line for each entry that was left out.
    """

    cfg: DictConfig
    policy: MLLM
    examples: Sequence[Example]
    places: Sequence[int]
    skipped: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[PromptBatch]:
        """Yield the batches. An entry whose evidence covers no visual token is left out."""
        collate, samples = self.collate(), islice(self.samples(), self.cfg.limit)
        while chunk := list(islice(samples, self.cfg.batch)):
            prompts = collate.prompts(chunk)
            seen: list[bool] = prompts.evidence.any(1).tolist()
            if not all(seen):
                lost = [s for s, there in zip(chunk, seen, strict=True) if not there]
                self.skipped += [f"{s.example.source}: its evidence holds no visual token" for s in lost]
                kept = [s for s, there in zip(chunk, seen, strict=True) if there]
                if not kept:
                    continue
                prompts = collate.prompts(kept)
            yield prompts

    def collate(self) -> Collate:
        """Return the collate function that makes the prompts."""
        templates = self.cfg.dataset.templates
        return Collate(
            self.policy.processor,
            templates=(templates.think, templates.zero),
            thinking=self.cfg.thinking,
            scorable=Checked(check_gold),
            max_new_tokens=self.cfg.dataset.max_new_tokens,
        )

    def samples(self) -> Iterator[Sample]:
        """Yield the entries that can be used, read; add a line to `skipped` for each of the others."""
        dataset, collate = self.cfg.dataset, self.collate()
        media = instantiate(dataset.media, factor=self.policy.processor.patches.factor)
        reader = media_reader(media, disk_cache=dataset.disk_cache, disk_cache_gb=dataset.disk_cache_gb)
        read = Samples(self.examples, reader, collate.check, range, collate.fits).read
        for at in self.places:
            try:
                yield read(at)
            except BadSample as error:
                self.skipped.append(str(error))

    def tell(self) -> None:
        """Print the number of skipped entries and the first reason."""
        if self.skipped:
            print(f"skipped: {len(self.skipped)} entries; the first: {self.skipped[0]}", file=sys.stderr)


def ask(knockout: Knockout, batches: Batches, questions: int, path: Path) -> list[Answer]:
    """Return all answers, under a progress bar; each is written to `path` as it comes.

    questions: number of entries to ask. UserError where no entry can be used, or the GPU's memory is too small.
    """
    columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("answers", total=questions * len(knockout.conditions))
        try:
            answers = measure(knockout, batches, path, lambda count: bar.advance(task, count))
        except torch.OutOfMemoryError as error:
            size = batches.cfg.batch
            raise UserError(f"out of GPU memory with batch={size}: write a smaller batch, or fewer pixels") from error
    if not answers:
        raise UserError(f"dataset: none of the {questions} entries can be used; the first: {batches.skipped[0]}")
    return answers


def show(results: Results, n: int, folder: Path) -> None:
    """Print the table and the conclusion; write results.json and knockout.png into `folder`. n: number of questions."""
    table = Table("layers", "keys cut", "from", "right, % (95% interval)", title=f"{n} questions")
    for row in rows_of(results):
        table.add_row(*row)
    Console().print(table)
    found = content(results, n)
    (folder / "results.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(folder / "knockout.png", results)
    print(f"reading: {found['reading']}")
    print(f"figure: {folder / 'knockout.png'}")
    print(json.dumps(found), flush=True)
