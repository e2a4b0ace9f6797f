"""The size of forward passes that a device has room for, where hardware.micro_batch_* is `auto`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ral.config.terms import found_terms, of_whole_groups
from ral.planning.device import GPU, Device, present
from ral.planning.memory import GB, phases
from ral.planning.networks import Networks
from ral.planning.plan import Tree, changed, networks_of

AUTO = "auto"
PROMPTS, RESPONSES = "hardware.micro_batch_prompts", "hardware.micro_batch_responses"
OF_A_PASS = ("frozen passes", "update, forward", "update, backward")
"""Phases whose memory the size of a pass changes."""
SHARE = 0.9
"""Share of a device's memory that passes may take: measured peaks were up to 1% above planned ones."""


@dataclass(frozen=True)
class Fitted:
    """Sizes of a pass that replace `auto`. sizes: {configuration key: size}; None for all responses of a group.

    gb: peak memory of a pass of these sizes, in GB. room: memory that passes may take, in GB.
    """

    sizes: Mapping[str, int | None]
    gb: float
    room: float

    def __str__(self) -> str:
        """Return one line: the sizes as they are typed on a command line, and the memory by which they were chosen."""
        typed = " ".join(f"{key}={'null' if size is None else size}" for key, size in self.sizes.items())
        fits = "" if self.gb <= self.room else "; nothing smaller fits either"
        return f"{typed} (auto: {self.gb:.1f} GB planned of {self.room:.1f}{fits})"


def fitted(tree: Tree, device: Device) -> Fitted | None:
    """Return the largest sizes that the device has room for; the smallest ones where none fits.

    tree: the configuration, resolved. None where neither size is `auto`.
    """
    asked = {key: at for key, at in of_a_pass(tree).items() if at == AUTO}
    if not asked:
        return None
    networks = networks_of(changed(tree, dict.fromkeys(asked, 1)))
    room, found = room_gb(networks, device), None
    for prompts, responses in sizes(tree, networks):
        batch = replace(networks.work.batch, micro=prompts, part=responses)
        gb = most_gb(replace(networks, work=replace(networks.work, batch=batch)))
        found = Fitted({key: {PROMPTS: prompts, RESPONSES: responses}[key] for key in asked}, gb, room)
        if gb <= room:
            break
    return found


def fitted_here(tree: Tree, gpu: GPU) -> Fitted | None:
    """Return the sizes for a run on this machine, with the memory of its GPU; None where neither size is `auto`.

    tree: the configuration, resolved. gpu: torch.cuda.
    """
    if AUTO not in of_a_pass(tree).values():
        return None
    here = tree if gpu.is_available() else changed(tree, {"hardware.accelerator": "cpu"})
    return fitted(here, present(here, gpu))


def of_a_pass(tree: Tree) -> dict[str, Any]:
    """Return {key: value} of the two settings for the size of a pass."""
    return {key: tree["hardware"][key.removeprefix("hardware.")] for key in (PROMPTS, RESPONSES)}


def sizes(tree: Tree, networks: Networks) -> Iterator[tuple[int, int | None]]:
    """Yield the sizes of a pass to try, (prompts, responses to each), the largest first; None for whole groups.

    Groups are split last, since each part reads the prompt again, and never where a term compares the responses of a
    group. tree: the configuration, resolved.
    """
    prompts, responses = of_a_pass(tree).values()
    batch = networks.work.batch
    whole = None if responses == AUTO else responses
    tried = halves(batch.prompts) if prompts == AUTO else [min(prompts, batch.prompts)]
    yield from ((size, whole) for size in tried)
    if responses == AUTO and next(of_whole_groups(found_terms(tree)), None) is None:
        yield from ((tried[-1], size) for size in halves(batch.group)[1:])


def halves(count: int) -> list[int]:
    """Return [count, its half, the half of that, ..., 1], each half rounded up."""
    return [count] + (halves(-(-count // 2)) if count > 1 else [])


def most_gb(networks: Networks) -> float:
    """Return the peak memory, in GB, of the phases in OF_A_PASS."""
    return max(phase.total for phase in phases(networks) if phase.name in OF_A_PASS) / GB


def room_gb(networks: Networks, device: Device) -> float:
    """Return the memory, in GB, that passes may take on a rank.

    It is SHARE of what the GPU has for tensors; without a GPU, of the rank's part of main memory.
    """
    room, ranks = device.room, networks.work.ranks
    there = room.gpu_gb - room.reserve_gb if ranks.on_gpu else room.host_gb / ranks.devices - room.base_gb
    return SHARE * max(there, 0.0)
