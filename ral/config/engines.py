"""The rule on rollout engines: settings that vLLM cannot fulfil are refused before weights are loaded."""

from __future__ import annotations

from typing import Any

from ral.config.schema import Node
from ral.config.signature import select
from ral.machine import BesideTrainer

VLLM = "ral.rollout.vllm.engine.vllm_engine"
"""The `_target_` of an engine in a process of its own."""
OF_VLLM = "ral.rollout.vllm."
"""Beginning of the `_target_` of every engine that asks vLLM."""


def vllm_can_do_what_is_asked(cfg: Node) -> str | None:
    """Return a line where a vLLM engine cannot take adapters or weights, or sleep, as the settings ask; else None.

    The cases are those of ral.machine.BesideTrainer.
    """
    if not str(select(cfg, "rollout.engine._target_")).startswith(OF_VLLM) or "lora" not in cfg:
        return None
    cpu = {"cpu": True, "gpu": False, "cuda": False}.get(str(select(cfg, "hardware.accelerator")))
    asked: dict[str, Any] = {"adapters": str(select(cfg, "rollout.engine.adapters")), "rank": rank(cfg)}
    if select(cfg, "rollout.engine._target_") != VLLM:
        return BesideTrainer(**asked).fault()
    own = select(cfg, "rollout.engine.device") is not None and not cpu
    level = select(cfg, "rollout.engine.sleep_level") if select(cfg, "rollout.engine.sleep") else None
    transport = str(select(cfg, "rollout.engine.transport"))
    return BesideTrainer(**asked, transport=transport, sleep=level, cpu=cpu, own_gpu=own, half=half(cfg)).fault()


def rank(cfg: Node) -> int | None:
    """Return the rank of the adapters, 0 where there are none; None where only the folder lora.resume tells it."""
    if select(cfg, "lora.resume") is not None and not select(cfg, "lora.rank"):
        return None
    return int(select(cfg, "lora.rank") or 0)


def half(cfg: Node) -> bool:
    """Tell whether the engine computes in bf16, by rollout.engine.precision (auto: by hardware.dtype)."""
    precision = select(cfg, "rollout.engine.precision")
    return precision == "bf16-mixed" or (precision == "auto" and select(cfg, "hardware.dtype") == "bfloat16")
