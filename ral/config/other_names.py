"""Names that other programs have for this project's settings, and the setting that is meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

SAME = {
    "algo": "algorithm algorithms algos method objective trainer rl_algorithm adv_estimator",
    "model": "models network net",
    "dataset": "data datasets task train_data",
    "reward": "rewards reward_function reward_funcs reward_fn",
    "logger": "loggers log logging report_to tracker",
    "rollout": "engine sampler rollouts backend inference",
    "optim": "optimizer optimiser optim_name",
    "experiment": "exp experiments config recipe",
    "hardware": "strategy accelerator_config",
    "algo.learning_rate": "lr learning_rate peak_lr actor_lr rate",
    "max_steps": "epochs num_epochs num_train_epochs max_epochs steps num_steps total_steps train_steps iterations",
    "algo.prompts_per_step": "batch_size batch train_batch_size prompts",
    "hardware.micro_batch_prompts": "micro_batch_size micro_batch gradient_accumulation_steps",
    "algo.group_size": "num_generations group n_samples num_samples rollout_n samples_per_prompt "
    "actor_rollout_ref.rollout.n",
    "algo.updates_per_rollout": "num_iterations ppo_epochs updates inner_epochs",
    "algo.warmup": "warmup_steps num_warmup_steps lr_warmup_steps",
    "algo.temperature": "temp sampling_temperature",
    "algo.kl.coef": "beta kl kl_coef kl_coeff kl_weight init_kl_coef",
    "algo.attention.coef": "lambda lambda_attn lam attention_weight attention_coef",
    "algo.token.clip_high": "clip clip_range cliprange epsilon clip_eps",
    "model.pretrained": "pretrained ckpt weights base_model pretrained_model model_id model_path model_name "
    "model_name_or_path model.path model.name model.name_or_path",
    "model.teacher": "teacher teacher_model teacher_path",
    "dataset.path": "data_path dataset_path train_file data_file train_files",
    "dataset.media_root": "image_root image_folder media_root media_folder images video_root",
    "dataset.limit": "limit max_samples max_train_samples n_train",
    "dataset.max_new_tokens": "max_new_tokens max_tokens max_completion_length max_length response_length",
    "hardware.devices": "gpus n_gpus num_gpus devices num_processes world_size nproc",
    "hardware.num_nodes": "nodes num_nodes nnodes",
    "hardware.accelerator": "device accelerator",
    "hardware.precision": "precision bf16 fp16 mixed_precision",
    "hardware.num_workers": "workers num_workers dataloader_num_workers",
    "hardware.read_ahead": "prefetch_factor dataloader_prefetch_factor prefetch",
    "hardware.gradient_checkpointing": "gradient_checkpointing checkpointing grad_checkpointing",
    "hardware.offload_activations": "activation_offloading activation_offload enable_activation_offload",
    "hydra.run.dir": "output output_dir out_dir outdir save_dir run_dir log_dir logdir dir",
    "checkpoint.every": "save_steps save_every save_freq save_interval",
    "eval.every": "eval_steps eval_every test_freq eval_interval",
    "eval.prompts": "eval_samples n_eval max_eval_samples",
    "lora.base": "load_in_4bit quantization_bit quantization use_qlora qlora bnb_4bit_quant_type",
    "lora.rank": "lora_rank lora_r rank use_lora peft",
    "resume": "resume_from resume_from_checkpoint continue restart",
    "seed": "seeds random_seed rng",
    "name": "run_name exp_name experiment_name",
    "logger.wandb.project": "project project_name wandb_project",
}
"""Key or group of this project -> the names that other programs have for it."""
OTHERWISE = {
    "per_device_train_batch_size": "algo.prompts_per_step=<prompts of a step>: TRL counts answers on one device, so"
    " that its prompts are per_device_train_batch_size x devices x gradient_accumulation_steps / num_generations",
    "warmup_ratio": "algo.warmup=<steps>, which is warmup_ratio x max_steps",
    "lr_warmup_steps_ratio": "algo.warmup=<steps>, which is the ratio x max_steps",
    "use_vllm": "rollout=vllm (on GPUs of its own: rollout=vllm_server), or rollout=native",
    "attn_implementation": "nothing in its place: attention runs on PyTorch's fused kernels",
    "max_prompt_length": "nothing in its place: prompts are never cut; dataset.media.max_pixels bounds their images",
    "logging_steps": "nothing in its place: every step is logged",
}
"""Names of other programs for what is counted, chosen or bounded otherwise here -> what to write."""
NAMES = {other: own for own, others in SAME.items() for other in others.split()}
LIKE = 0.8
"""Names less alike than this (0 to 1) are not taken for one of NAMES."""
OTHER_VALUES = {"hardware.precision", "hardware.micro_batch_prompts", "lora.base", "lora.rank", "resume"}
"""Settings whose values are written otherwise elsewhere, as `bf16=true` is; so are epochs, of which there are none."""
SIMILAR_KEY = 0.75
"""Dotted keys less alike than this (0 to 1) are not offered as corrections."""
NEARLY_AS_SIMILAR = 0.05
"""Keys within this distance of the most similar one are offered beside it."""
NOTHING_LIKE_IT = "; --cfg job prints every key"


def known_here(key: str, value: str, known: Sequence[str], config_dir: Path, exact: bool = True) -> str | None:
    """Return the setting to write in place of `key=value`: `algo=ral` for `algorithm=ral`.

    None where the key is no known name of another program's, or this configuration lacks the setting that is meant.
    known: groups and keys of this configuration. exact: False to match misspelt names too. For a group without the
    option `value`, all its options are listed.
    """
    if (way := OTHERWISE.get(key.lower().rpartition(".")[2])) and "algo.prompts_per_step" in known:
        return way
    own = _own(key.lower().replace("-", "_"), exact)
    group, _, rest = key.partition(".")
    elsewhere = bool(rest) and group in known and own is not None and own.partition(".")[0] != group
    if own == "hydra.run.dir":
        return f"{'output' if 'output' in known else own}={value or '<folder>'}"
    if own is None or own not in known or own == key or elsewhere:
        return None
    if not (config_dir / own).is_dir():
        return f"{own}={'<value>' if not value or own in OTHER_VALUES or 'epoch' in key else value}"
    options = sorted(path.stem for path in (config_dir / own).glob("*.yaml"))
    chosen = value.lower().replace("-", "_")
    return f"{own}={chosen}" if chosen in options else f"{own}=<{' or '.join(options)}>"


def undashed(arguments: Sequence[str]) -> list[str]:
    """Return the settings to write in place of other programs' arguments with dashes: ["algo.learning_rate=1e-6"] of
    `--learning_rate 1e-6` and `--learning_rate=1e-6`. What has no known name is left out.
    """
    found = []
    for place, argument in enumerate(arguments):
        word, equals, value = argument.lstrip("-").partition("=")
        key = word.lower().replace("-", "_")
        own = NAMES.get(key) or (key if key in SAME else None)
        if not argument.startswith("--") or own is None:
            continue
        behind = arguments[place + 1] if len(arguments) > place + 1 else "-"
        value = value if equals else "" if behind.startswith("-") or "=" in behind else behind
        found.append(f"{own}={'<value>' if not value or own in OTHER_VALUES or 'epoch' in key else value}")
    return found


def _own(key: str, exact: bool) -> str | None:
    word = key.rpartition(".")[2]
    found = NAMES.get(key) or NAMES.get(word)
    close = [] if exact or found else difflib.get_close_matches(word, NAMES, n=1, cutoff=LIKE)
    return NAMES[close[0]] if close else found


def closest(key: str, known: Sequence[str]) -> str:
    """Return '; did you mean x?' with up to three of the dotted keys `known`, those most like `key`; where none is
    similar, NOTHING_LIKE_IT.
    """
    scores = {k: _similarity(key, k) for k in dict.fromkeys(known)}
    best = max(scores.values(), default=0.0)
    close = [k for k, s in scores.items() if s >= max(SIMILAR_KEY, best - NEARLY_AS_SIMILAR)]
    close.sort(key=lambda k: -scores[k])
    return f"; did you mean {' or '.join(close[:3])}?" if close else NOTHING_LIKE_IT


def _similarity(one: str, other: str) -> float:
    """Return the mean of the likeness of two dotted keys and that of their last parts, 0 to 1."""
    whole = difflib.SequenceMatcher(None, one, other).ratio()
    last = difflib.SequenceMatcher(None, one.rpartition(".")[2], other.rpartition(".")[2]).ratio()
    return (whole + last) / 2
