"""The worker of this project's side: `train.py` itself, whose steps wait for requests of the parent process.

    python -m ral.benches.ral_worker '{"model": ..., "data": ..., ...}'

The run differs from an ordinary one in a callback, and in end tokens, which are banned so that all responses have the
full length. In this module `spec` is the argument above, parsed from JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import lightning as L
from omegaconf import DictConfig

import ral.run
from ral.benches.variants import install
from ral.benches.worker import Line, environment_facts
from ral.config.cli import run

LINE = Line()


class Turns(L.Callback):
    """Lightning's callback that lets a step begin at a request, and answers when the step has ended.

    group_size: responses to each prompt.
    """

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        """Ban the end tokens, and wait for the first request."""
        processor = module.policy.processor
        processor.banned[list(processor.end_ids)] = True
        LINE.next_step()

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Answer with the tokens, seconds and settings of the step that ended, and wait for the next request."""
        optimizer = module.optimizers(use_pl_optimizer=False)
        LINE.next_step(
            prompt_tokens=int(batch.valid.sum()),
            response_tokens=round(module.latest["train/response_length"] * len(batch) * self.group_size),
            times={key: value for key, value in module.latest.items() if key.startswith("time/")},
            **environment_facts(module.policy.network, optimizer),
        )


def overrides(spec: dict[str, Any]) -> list[str]:
    """Return the overrides of train.py that fit the specification; evaluation, checkpoints and logs are off."""
    settings = {
        "model.pretrained": spec["model"],
        "model.learning_rates.rl": spec["learning_rate"],
        "dataset.path": f"{spec['data']}/data.jsonl",
        "dataset.templates": f"{{think: {spec['data']}/question.j2, zero: zero}}",
        "dataset.source.validation_size": 1,
        "dataset.max_new_tokens": spec["response_tokens"],
        "dataset.media.image_min_pixels": 784,
        "dataset.media.image_max_pixels": spec["largest_picture"],
        "algo.group_size": spec["group_size"],
        "algo.prompts_per_step": spec["prompts"],
        "algo.updates_per_rollout": spec["updates"],
        "algo.temperature": spec["temperature"],
        "algo.kl.coef": spec["beta"],
        "algo.final_learning_rate": 1,
        "optim.max_grad_norm": spec["max_grad_norm"],
        "hardware.threads": spec["threads"],
        "max_steps": spec["steps"],
        "eval.every": 0,
        "eval.prompts": 1,
        "eval.before": False,
        "checkpoint.every": 0,
        "diagnostics.every": 0,
        "+reward.parts.hash": "{_target_: ral.rewards.combine.Part, weight: 1, "
        "function: {_target_: ral.benches.worker.reward, _partial_: true}}",
        "hydra.run.dir": spec["run"],
        "overwrite": True,  # the folder is the bench's own, of its last size or call
    }
    groups = [f"algo={spec.get('algo', 'grpo')}", "model=qwen2_5_vl", "dataset=jsonl", "logger=jsonl"]
    groups.append(f"hardware={spec.get('hardware', 'cpu')}")
    without = ["~logger.jsonl", "reward.parts.accuracy.weight=0", "~reward.parts.format"]
    return [*groups, *without, *(f"{key}={value}" for key, value in settings.items()), *spec.get("more", ())]


def main(cfg: DictConfig) -> None:
    """Train as `cfg` says, with Turns as the last callback."""
    build = ral.run.build_trainer

    def with_turns(*arguments: Any, **options: Any) -> L.Trainer:
        trainer = build(*arguments, **options)
        trainer.callbacks.append(Turns(cfg.algo.group_size))
        return trainer

    ral.run.build_trainer = with_turns
    ral.run.train(cfg)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if "variant" in asked:
        install(asked["variant"])
    sys.argv[1:] = overrides(asked)
    run(main, "train")
