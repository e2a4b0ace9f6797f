"""The worker of TRL's side: its GRPOTrainer as TRL's documentation sets it up, whose steps wait for requests.

    python -m ral.benches.trl_worker '{"model": ..., "data": ..., ...}'     in an environment with TRL

A step is one generation and `updates` optimizer steps on it (num_iterations). Gradient checkpointing, which TRL turns
on by default, is off, as on RAL's side, since it would cost TRL time. All settings outside the specification are TRL's
defaults. In this module `spec` is the specification: the argument above, parsed from JSON.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ral.benches.operators import name_missing_operators
from ral.benches.worker import Line, environment_facts, reward

LINE = Line()

OPERATORS = name_missing_operators()

from datasets import Dataset, Image  # noqa: E402
from transformers import AutoModelForImageTextToText, TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402


class Turns(TrainerCallback):
    """TRL's callback that lets a step begin at a request, and answers when the step has ended.

    trainer: set after its making.
    """

    trainer: GRPOTrainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the first request."""
        LINE.next_step()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Answer with the tokens and settings of a step, and wait for the next request.

        Nothing is done until the last update on a generation.
        """
        if state.global_step % args.num_iterations:
            return
        batch = self.trainer._buffered_inputs[0]
        LINE.next_step(
            prompt_tokens=int(batch["prompt_mask"].sum()) // args.num_generations,
            response_tokens=int(batch["completion_mask"].sum()),
            trl=version("trl"),
            **environment_facts(self.trainer.model, self.trainer.optimizer),
        )


def rewards(completions: list[Any], **columns: Any) -> list[float]:
    """Return the rewards that RAL's side computes too (`ral.benches.worker.reward`); `columns` are ignored."""
    return [reward(None, turns[0]["content"]) for turns in completions]


def pictures(folder: Path) -> Dataset:
    """Return the questions in `folder` with their images, which are decoded when a step asks for them."""
    entries = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]
    rows = [
        {"prompt": [{"role": "user", "content": e["question"]}], "image": str(folder / e["image"])} for e in entries
    ]
    return Dataset.from_list(rows).cast_column("image", Image())


def settings(spec: dict[str, Any]) -> GRPOConfig:
    """Return the specification as TRL's configuration."""
    return GRPOConfig(
        output_dir=spec["run"],
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=spec["prompts"] * spec["group_size"],
        num_generations=spec["group_size"],
        num_iterations=spec["updates"],
        max_steps=spec["steps"] * spec["updates"],
        max_completion_length=spec["response_tokens"],
        generation_kwargs={"min_new_tokens": spec["response_tokens"]},
        temperature=spec["temperature"],
        beta=spec["beta"],
        loss_type="grpo",
        learning_rate=spec["learning_rate"],
        lr_scheduler_type="constant",
        max_grad_norm=spec["max_grad_norm"],
        gradient_checkpointing=False,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def main(spec: dict[str, Any]) -> None:
    """Train, one step for each request, until the parent process closes the input."""
    network = AutoModelForImageTextToText.from_pretrained(
        spec["model"], dtype=torch.float32, attn_implementation="sdpa"
    )
    network.model.visual.requires_grad_(False)
    turns = Turns()
    turns.trainer = GRPOTrainer(
        model=network,
        reward_funcs=rewards,
        args=settings(spec),
        train_dataset=pictures(Path(spec["data"])),
        callbacks=[turns],
    )
    turns.trainer.train()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
