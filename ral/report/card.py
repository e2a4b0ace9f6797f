"""The model card of a run: README.md of its hf/, as the Hugging Face hub reads it, made from the run's files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ral.files.repository import ROOT, find
from ral.report.curves import Series, panel
from ral.report.page import title_of
from ral.report.panels import PANELS
from ral.report.reading import read_run
from ral.report.records import RunFiles, series
from ral.report.summary import Compared, Estimate, Row, match, table
from ral.report.words import details, headline, percent, points

CARD, FIGURE = "README.md", "curves.png"
MARK = "made by ral from the files of the run; `python scripts/publish.py` makes it again while this line stands here"
"""Line in every card that may be written anew. A card without this line was written by a person."""
SHIPPED, SHIPPED_LICENCE = ROOT / "assets", "apache-2.0"
"""Folder of the models that this project ships, and their licence."""
SECRET = re.compile(r"(api_?key|password|secret|hf_token)=.*", re.IGNORECASE)


def write_card(run: Path, into: Path, licence: str | None = None) -> Path:
    """Write the card of a run, and its figure of curves, into the model's folder `into`; return the card's path.

    A card that a person has written stays as it is. licence: its name on the hub, such as "apache-2.0"; None: the
    licence of a shipped base model, none for another one. UserError where `run` is no run's folder.
    """
    path, files = into / CARD, read_run(run)
    if path.is_file() and MARK not in path.read_text(encoding="utf-8"):
        return path
    figure = draw(files)
    if figure is not None:
        (into / FIGURE).write_bytes(figure)
    text = render(files, FIGURE if figure else None, licence, (into / "reward_model.json").is_file())
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


def draw(run: RunFiles) -> bytes | None:
    """Return a PNG of the first of PANELS for which the run has metrics; None where it has none for any."""
    for spec in PANELS:
        found = [(key, name, series(run.metrics, key)) for key, name in spec.keys.items()]
        lines = [Series(name, *values, dots=key.startswith("eval/")) for key, name, values in found if values[0]]
        if lines:
            return panel(lines)
    return None


def render(run: RunFiles, figure: str | None, licence: str | None = None, scores: bool = False) -> str:
    """Return the card's text. figure: file name of the curves, or None. scores: whether the model is a reward model.

    licence: as in `write_card`.
    """
    pairs, _ = match(run.before, run.after)
    rows, base = table(pairs), str(run.setup.config.get("model", {}).get("pretrained", ""))
    known = licence or (SHIPPED_LICENCE if _shipped(base) else None)
    both = run.before is not None and run.after is not None
    whole = rows[0] if rows else None
    kind = "A reward model of pictures, clips and text." if scores else "A multimodal language model."
    return _template().render(
        head=yaml.safe_dump(head(run, base, known, scores), sort_keys=False, allow_unicode=True),
        mark=MARK,
        title=title_of(run),
        what=kind,
        version=version("ral"),
        headline=headline(whole),
        details=details(whole),
        command=command(run),
        facts=facts(run, base),
        rows=[cells(row, both) for row in rows],
        both=both,
        figure=figure,
        licence=f"`{known}`."
        if known
        else f"That of the model it was trained from (`{_short(base)}`), whatever it is.",
    )


def head(run: RunFiles, base: str, licence: str | None, scores: bool) -> dict[str, Any]:
    """Return the fields at the head of the card, which the hub reads.

    base: folder or hub id of the base model. licence: None to leave it out. scores: whether the model is a reward
    model.
    """
    algo = title_of(run)["algo"] or title_of(run)["name"]
    own = {"license": licence} if licence else {}
    hub = {"base_model": base} if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not Path(find(base)).exists() else {}
    task = {} if scores else {"pipeline_tag": "image-text-to-text"}
    return {
        **own,
        **hub,
        "library_name": "transformers",
        **task,
        "tags": list(dict.fromkeys(["ral", "reinforcement-learning", algo])),
    }


def command(run: RunFiles) -> str:
    """Return the command of a run, without secrets and with ~ for the home folder.

    Its overrides are those that Hydra recorded; where this record is missing, the command is that of environment.json.
    """
    file = run.folder / ".hydra" / "overrides.yaml"
    typed = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    if typed is None:
        return _short(SECRET.sub(r"\1=...", run.setup.environment.get("command", "unknown")))
    return _short(shlex.join(["python", "train.py", *(SECRET.sub(r"\1=...", str(o)) for o in typed)]))


def facts(run: RunFiles, base: str) -> dict[str, str]:
    """Return {label: Markdown text} of base model, data, objective, steps, seed, commit, versions and machine.

    base: folder or hub id of the base model. Unknown facts are left out.
    """
    config, environment = run.setup.config, run.setup.environment
    dataset = config.get("dataset") or {}
    data = run.setup.choices.get("dataset", ""), dataset.get("name"), dataset.get("path")
    asked = {
        "trained from": _short(base),
        "data": ", ".join(dict.fromkeys(_short(str(part)) for part in data if part)),
        "objective": ", ".join(map(str, (config.get("algo") or {}).get("objective") or ())),
        "steps": str(max((int(line["step"]) for line in run.metrics if "step" in line), default=0)),
        "seed": str(config.get("seed", "")),
        "commit": environment.get("commit", ""),
        "versions": ", ".join(f"{n} {environment[n]}" for n in ("torch", "transformers") if n in environment),
        "machine": ", ".join(environment[n] for n in ("cpu", "gpu") if environment.get(n, "none") != "none"),
    }
    return {name: value.replace("|", r"\|") for name, value in asked.items() if value}


def cells(row: Row, both: bool) -> Sequence[str]:
    """Return a row of the table of results as text. both: whether the run was evaluated before and after training."""
    found: Compared = row.accuracy
    sides = (found.before, found.after) if both else (found.after or found.before,)
    change = [_interval(found.change, points)] if both else []
    return [row.name, str(row.n), *(_interval(side, percent) for side in sides), *change]


def _interval(estimate: Estimate | None, write: Any) -> str:
    if estimate is None:
        return ""
    return f"{write(estimate.mean)} ({write(estimate.low)} to {write(estimate.high)})"


def _shipped(base: str) -> bool:
    """Tell whether a model lies in the folder of this project's own models."""
    return Path(find(base)).resolve().is_relative_to(SHIPPED)


def _short(text: str) -> str:
    """Return a text with ~ in place of the home folder's path."""
    return text.replace(f"{Path.home()}/", "~/")


def _template() -> Any:
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    made = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return made.get_template("card.md.j2")
