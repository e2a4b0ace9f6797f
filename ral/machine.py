"""Checks that this machine, and the launcher of this process, have what `hardware` asks for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from ral.errors import UserError

INTERACTIVE_STEP = "4294967290"
"""SLURM_STEP_ID of the shell that salloc opens: nobody called srun for what runs in it."""
ON_CPU = "hardware.accelerator=cpu hardware.precision=32-true"
"""Settings of a run of several processes without a GPU."""


def check_started(env: MutableMapping[str, str], devices: int, num_nodes: int, variables: Sequence[str]) -> None:
    """Raise UserError where the launcher of this process, or variables left over from one, do not fit `hardware`.

    env: environment variables; those of SLURM that Lightning reads are set here. devices: processes a node. variables:
    names of those that number processes and nodes.
    """
    check_slurm(env, devices, num_nodes)
    check_torchrun(env, devices, num_nodes)
    check_rank(env, devices, num_nodes, variables)


def srun_tasks(env: Mapping[str, str]) -> int:
    """Return the number of processes in the srun step of this process; 0 where srun did not start this process.

    env: environment variables. Also 0 for a process that a SLURM job's script started without srun.
    """
    if env.get("SLURM_STEP_ID") in (None, "", INTERACTIVE_STEP, "interactive"):
        return 0
    return number(env, "SLURM_STEP_NUM_TASKS") or number(env, "SLURM_NTASKS") or 1


def number(env: Mapping[str, str], name: str) -> int:
    """Return the environment variable `name` as a whole number; 0 where it is not set or is no whole number."""
    text = env.get(name, "")
    return int(text) if text.isdecimal() else 0


def check_slurm(env: MutableMapping[str, str], devices: int, num_nodes: int) -> None:
    """Set the SLURM variables in `env` by which Lightning knows whether srun started the processes of this run.

    devices: processes a node. A process that srun did not start, or started alone, starts the others itself; there
    Lightning is kept from waiting for processes of srun. UserError where srun started another number of processes than
    asked, and for several nodes in a SLURM job without srun or torchrun.
    """
    tasks, asked = srun_tasks(env), devices * num_nodes
    if tasks > 1 or (tasks and num_nodes > 1):
        if tasks != asked:
            raise UserError(
                f"srun started {tasks} processes, and hardware asks for {asked} (hardware.devices={devices} a node, "
                f"hardware.num_nodes={num_nodes}): write srun --ntasks={asked} --ntasks-per-node={devices}, or "
                f"hardware.devices and hardware.num_nodes as srun starts them"
            )
        env.setdefault("SLURM_NTASKS_PER_NODE", str(devices))
    elif tasks or "SLURM_NTASKS" in env or "SLURM_JOB_ID" in env:
        if num_nodes > 1 and "TORCHELASTIC_RUN_ID" not in env:
            raise UserError(
                f"hardware.num_nodes={num_nodes} in a SLURM job without srun: write srun python train.py ..., which "
                "starts a process a device on every node, or hardware.num_nodes=1"
            )
        env["SLURM_JOB_NAME"] = "interactive"  # Lightning's word for a job whose processes srun did not start


def check_torchrun(env: Mapping[str, str], devices: int, num_nodes: int) -> None:
    """Raise UserError where a launcher that sets RANK (torchrun) started another number of processes than asked for.

    UserError also where several nodes are asked for and no variable says which node this is. devices: processes a node.
    """
    if srun_tasks(env):
        return
    if not {"RANK", "WORLD_SIZE"} <= env.keys():
        if num_nodes > 1 and not {"NODE_RANK", "GROUP_RANK", "LOCAL_RANK"} & env.keys():
            raise UserError(
                f"hardware.num_nodes={num_nodes}: nothing says which node this is, so that the others would be waited "
                f"for: start torchrun --nnodes={num_nodes} --nproc_per_node={devices} train.py ... or srun on each, or "
                "write hardware.num_nodes=1"
            )
        return
    started, here, asked = number(env, "WORLD_SIZE"), number(env, "LOCAL_WORLD_SIZE"), devices * num_nodes
    if started == asked and here in (0, devices):
        return
    nodes = started // here if here else num_nodes
    fits = f"hardware=ddp hardware.devices={here or started}" + (f" hardware.num_nodes={nodes}" if nodes > 1 else "")
    raise UserError(
        f"torchrun started {started} processes (WORLD_SIZE), and hardware asks for {asked} (hardware.devices={devices} "
        f"a node, hardware.num_nodes={num_nodes}): write {fits}, or start python train.py alone, which starts the "
        "processes that it asks for itself; where no launcher started this one, the variables are left over from one: "
        f"write unset {' '.join(name for name in LAUNCHED if name in env)} before the command"
    )


LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that torchrun sets."""
OF_A_NODE = ("NODE_RANK", "GROUP_RANK")
"""Variables with the number of a node; people set them by hand where no launcher starts the processes of all nodes."""


def check_rank(env: Mapping[str, str], devices: int, num_nodes: int, variables: Sequence[str]) -> None:
    """Raise UserError where a variable numbers this process as a later rank, although no launcher started the others.

    Such a process would leave folder, metrics and report to a first rank that does not exist. devices: processes a
    node. variables: names of environment variables that number processes and nodes.
    """
    several = devices * num_nodes > 1
    if several and (srun_tasks(env) > 1 or "WORLD_SIZE" in env):
        return
    for name in variables:
        if several and name in OF_A_NODE:
            continue
        if number(env, name) > 0:
            ways = "" if several else " (or hardware=ddp for several processes)"
            raise UserError(
                f"{name}={env[name]} says that this process is a later one of several, and nothing started the others: "
                f"write unset {name} before the command{ways}"
            )


def check_alone(env: Mapping[str, str], script: str) -> None:
    """Raise UserError where a launcher started several processes of a command that works in one process.

    script: the command's file, which the message names.
    """
    tasks = srun_tasks(env)
    started = tasks or (number(env, "WORLD_SIZE") if {"RANK", "WORLD_SIZE"} <= env.keys() else 0)
    if started > 1:
        launcher, size = ("srun", "SLURM_STEP_NUM_TASKS") if tasks else ("torchrun", "WORLD_SIZE")
        raise UserError(
            f"{script} runs in one process, and {launcher} started {started} of it ({size}), which would write to the "
            f"same files: start python {script} alone"
        )


def check_devices(accelerator: str, devices: int, num_nodes: int, gpus: int) -> None:
    """Raise UserError where there are fewer GPUs than `hardware` asks for. gpus: number that PyTorch sees."""
    if accelerator == "cpu":
        return
    several = devices * num_nodes > 1
    if not gpus and (accelerator != "auto" or several):
        ways = f"hardware=cpu{f', or {ON_CPU} for several processes' if several else ''}"
        raise UserError(f"hardware.accelerator={accelerator}: PyTorch sees no GPU here: write {ways}")
    if gpus and devices > gpus:
        raise UserError(f"hardware.devices={devices}: PyTorch sees {gpus} GPUs here: write hardware.devices={gpus}")


HOPPER = (9, 0)
"""Compute capability of an H100, H200 or GH200."""


def check_fused(asked: bool, accelerator: str, capability: tuple[int, int] | None) -> None:
    """Raise UserError where fused log-probs are asked for on a device without their kernel, or without liger-kernel.

    asked: hardware.fused_log_probs. capability: compute capability of this process's GPU; None where it has no GPU.
    UserError also where CUTLASS's Python package, which the kernel needs, is missing.
    """
    if not asked:
        return
    if accelerator == "cpu" or capability != HOPPER:
        here = "this run has no GPU" if accelerator == "cpu" or capability is None else "this GPU is another"
        raise UserError(
            f"hardware.fused_log_probs=true: the kernel is for an H100 or H200 (compute capability 9.0), and {here}: "
            "write hardware.fused_log_probs=false, which keeps no logits of all tokens either"
        )
    if importlib.util.find_spec("liger_kernel") is None or importlib.util.find_spec("cutlass") is None:
        raise UserError(
            "hardware.fused_log_probs=true needs liger-kernel, which is not installed: pip install '.[liger]'"
        )


def check_four_bit(base: str, accelerator: str, gpus: int) -> None:
    """Raise UserError where weights are to be kept in 4 bits (lora.base=nf4) without a GPU or without bitsandbytes.

    base: lora.base. gpus: number that PyTorch sees.
    """
    if base != "nf4":
        return
    if accelerator == "cpu" or not gpus:
        raise UserError(
            "lora.base=nf4 keeps weights in 4 bits on a GPU, and this run has none: write hardware=single_gpu on a "
            "machine with one, or lora.base=dtype"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("lora.base=nf4 needs bitsandbytes, which is not installed: pip install '.[fourbit]'")


LARGEST_ADAPTER = 512
"""Largest rank of adapters that vLLM loads (vllm.config.lora, MaxLoRARanks)."""
DROPS = 2
"""vLLM's level of sleep at which it drops its weights; at 1 it moves them to main memory."""


@dataclass(frozen=True)
class BesideTrainer:
    """Settings of a vLLM engine beside the trainer, and the devices of both, for a check that they fit each other.

    adapters: "merged" or "alone". rank: rank of the adapters, 0 for none. transport: "auto", "file", "ipc" or
    "broadcast". sleep: vLLM's sleep level; None for no sleep. cpu: whether there is no GPU. own_gpu: whether the engine
    has another GPU than the trainer. half: whether arithmetic is in 16 bits. rank, cpu, own_gpu and half are None where
    they are not known yet.
    """

    adapters: str = "merged"
    rank: int | None = None
    transport: str = "auto"
    sleep: int | None = None
    cpu: bool | None = None
    own_gpu: bool | None = None
    half: bool | None = None

    def fault(self) -> str | None:
        """Return, in one line, why these settings do not fit, and what to write instead; None where they fit."""
        return self.fault_of_adapters() or self.fault_of_sleep() or self.fault_of_transport()

    def fault_of_adapters(self) -> str | None:
        """Return why adapters cannot be sent alone; None where they can, or are merged."""
        if self.adapters != "alone":
            return None
        key = "rollout.engine.adapters=alone"
        if self.rank == 0:
            return f"{key}: there are no adapters: write rollout.engine.adapters=merged, or lora.rank=16"
        if self.rank is not None and self.rank > LARGEST_ADAPTER:
            return (
                f"{key}: vLLM loads no adapters above rank {LARGEST_ADAPTER}, and these have {self.rank}: write merged"
            )
        if self.cpu is False and self.half is False:
            return f"{key}: on a GPU vLLM computes adapters in 16 bits: write hardware.precision=bf16-mixed, or merged"
        if self.sleep == DROPS:
            return (
                f"{key}: rollout.engine.sleep_level={DROPS} drops frozen weights too, which are sent once: write "
                "rollout.engine.sleep_level=1, or merged"
            )
        return None

    def fault_of_sleep(self) -> str | None:
        """Return why the engine cannot sleep between rollouts; None where it can, or need not."""
        if self.sleep is None:
            return None
        if self.cpu:
            return "rollout.engine.sleep=true: vLLM does not sleep on a CPU: write rollout.engine.sleep=false"
        if self.own_gpu:
            return (
                "rollout.engine.sleep=true makes room on the trainer's GPU, and rollout.engine.device names another: "
                "write rollout.engine.sleep=false, or rollout.engine.device=null"
            )
        return None

    def fault_of_transport(self) -> str | None:
        """Return why weights cannot be handed over as asked; None where they can."""
        key = f"rollout.engine.transport={self.transport}"
        if self.transport == "ipc" and self.own_gpu:
            return f"{key} is within one GPU, and the engine has its own: write auto (NCCL)"
        if self.transport == "broadcast" and self.cpu is False and self.own_gpu is False:
            return f"{key}: NCCL is between two GPUs, and trainer and engine share one: write auto (CUDA IPC)"
        return None
