"""The page of a plan as text: memory by phase, main memory by rank, time by phase, the settings that save most."""

from __future__ import annotations

from collections.abc import Sequence

from ral.files.markdown import table
from ral.planning.memory import GB, PARTS
from ral.planning.plan import Plan
from ral.planning.savings import Saving


def page(plan: Plan, savings: Sequence[Saving]) -> str:
    """Return the page of plan=true without its last line, the summary."""
    return "\n\n".join([head(plan), memory(plan), main_memory(plan), time(plan), saved(plan, savings)])


def head(plan: Plan) -> str:
    """Return the lines on networks, sizes and device."""
    networks, work = plan.networks, plan.networks.work
    batch, ranks = work.batch, work.ranks
    billions = f"{networks.policy.counts.total / 1e9:.3g} billion parameters, {networks.trained / 1e9:.3g} trained"
    teacher = f"; teacher {networks.teacher.name}" if networks.teacher is not None else ""
    lines = [
        f"plan of {work.steps} steps: {networks.policy.name}, {billions}{teacher}",
        f"{ranks.count} x {plan.device.name}{f' on {ranks.nodes} machines' if ranks.nodes > 1 else ''}"
        f" (machine=NAME for another), networks {'sharded' if ranks.sharded else 'whole'} on each rank",
        f"a rank and step: {batch.prompts} prompts of at most {batch.visual} visual and {batch.text} text tokens "
        f"(planning.visual_tokens, planning.text_tokens), {batch.group} responses of {batch.response} tokens each, "
        f"{work.training.updates} updates of {batch.passes} passes",
        "bytes of numbers: "
        + f"trained weights {work.numbers.trained}, frozen {work.numbers.frozen}, "
        + (f"under adapters {work.numbers.base:.3f}, " if work.numbers.base else "")
        + f"products {work.numbers.product}, optimizer state {work.numbers.state} a weight",
    ]
    return "\n".join(lines)


def memory(plan: Plan) -> str:
    """Return the table of device memory of a rank by phase, in GB; empty columns are left out."""
    used = [part for part in PARTS if any(phase.parts.get(part, 0.0) > 0 for phase in plan.phases)]
    rows = [(phase.name, *(gb(phase.parts.get(part, 0.0)) for part in used), gb(phase.total)) for phase in plan.phases]
    where = "GPU memory" if plan.networks.work.ranks.on_gpu else "memory of networks and tensors (in main memory)"
    room = plan.device.room
    limit = f"; the device has {room.gpu_gb:g}, of which {room.reserve_gb:g} are not tensors" if room.gpu_gb else ""
    return f"{where} of each rank, GB{limit}:\n" + table(("phase", *used, "all"), rows, left=1)


def gb(size: float) -> str:
    """Return bytes as a number of GB, with three decimals below 1 GB and one above."""
    return f"{size / GB:.3f}" if size < GB else f"{size / GB:.1f}"


def main_memory(plan: Plan) -> str:
    """Return the table of main memory by rank, and the disk, in GB."""
    host, devices = plan.host, plan.networks.work.ranks.devices
    rows = [("0", f"{host.load:.1f}", f"{host.steady:.1f}", f"{host.saving:.1f}")]
    others = plan.networks.work.ranks.count - 1
    if others:
        name = "1" if others == 1 else f"1 to {others}, each"
        rows.append((name, f"{host.load:.1f}", f"{host.steady:.1f}", "-"))
    columns = ("rank", "while networks are made", "in the steps", "at the end, saving hf/")
    machine = f"a machine ({devices} ranks): {plan.host_gb:.1f} of {plan.device.room.host_gb:g}"
    return "main memory, GB:\n" + table(columns, rows, left=1) + f"{machine}; disk: {plan.disk_gb:.1f}"


def time(plan: Plan) -> str:
    """Return the table of seconds by phase of a step, with the bound of each, and the hours of the run."""
    rows = [(part.name, f"{part.seconds:.3g}", part.bound) for part in plan.step]
    rows.append(("step", f"{plan.step_s:.3g}", ""))
    work = plan.networks.work
    more = f"{work.upkeep.evaluations} evaluations of {plan.evaluation_s:.3g} s" if work.upkeep.evaluations else ""
    hours = f"{work.steps} steps{' and ' + more if more else ''}: {plan.hours:.3g} hours"
    return "time, s:\n" + table(("phase", "seconds", "bound"), rows, left=1) + hours


def saved(plan: Plan, savings: Sequence[Saving]) -> str:
    """Return lines on the settings that save most memory, with the seconds that each adds to a step."""
    if not savings:
        return "no setting that was tried saves memory"
    lines = [f"  {s.setting}: {s.gb:.2f} GB less, {s.seconds:+.3g} s a step" for s in savings]
    return f"of {plan.most_gb:.2f} GB ({plan.peak.name}) these save most, each alone:\n" + "\n".join(lines)


def header(plan: Plan, name: str) -> str:
    """Return the plan of a recipe `name` in one line, as the recipe's yaml has it at its top."""
    ranks = plan.networks.work.ranks
    cards = f"{ranks.count} x {plan.device.name}"
    return (
        f"Plan of {name}: {cards}, {plan.gpu_gb:.1f} GB of each; {plan.host_gb:.0f} GB of main memory a machine, "
        f"{plan.disk_gb:.0f} GB of disk, {plan.hours:.0f} hours."
    )
