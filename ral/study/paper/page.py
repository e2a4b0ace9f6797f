"""The page of `scripts/paper.py`: the table beside the paper's, the stages with their folders, the commands."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.files.markdown import table
from ral.report.environment import environment
from ral.report.html import templates
from ral.study.paper.figure import draw
from ral.study.paper.graph import BENCHMARKS, TRAIN, VIDEO, Graph, Stage
from ral.study.paper.records import DONE_STATE, record_of, state_of
from ral.study.paper.results import Line, facts, lines_of

NAME, FIGURE = "paper", "paper.png"
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")
HALVES = {"Video benchmarks": VIDEO, "Image benchmarks": BENCHMARKS[len(VIDEO) :]}
MADE = (
    "Made data and made benchmarks of a few questions each, in the published schemas: this shows that every stage "
    "runs, and says nothing about the method or about the paper's numbers."
)
NOTES = (
    "Accuracy in percent, MME in points, each with its 95% bootstrap interval over questions. Rows in italics: what "
    "the paper prints (one run each, without intervals). Its T-GRPO is the model that Video-R1 published, made in "
    "another set-up; it has no row for SFT alone. It does not print its prompts: models are asked as the commands say."
)


@dataclass(frozen=True)
class Section:
    """A part of the page: its title, a table of cells (text or Markdown links), and the text below it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: str = ""


def report(graph: Graph, failed: Mapping[str, str]) -> Path:
    """Write paper.md, paper.html, paper.json and the figure into the output folder; return that folder.

    failed: {stage: why}, shown in the table of stages.
    """
    output, lines = graph.places.output, lines_of(graph)
    (output / f"{NAME}.json").write_text(json.dumps(facts(lines), indent=1) + "\n", encoding="utf-8")
    shown = draw(output / FIGURE, lines)
    sections = [*(half(graph, lines, title, names) for title, names in HALVES.items()), stages(graph, failed)]
    text = {"opening": opening(graph), "notes": NOTES, "figure": FIGURE if shown else ""}
    commands = [command(stage) for stage in graph.stages]
    (output / f"{NAME}.md").write_text(markdown(sections, text, commands), encoding="utf-8")
    page = templates().get_template("paper.html.j2")
    html = page.render(sections=[linked(s) for s in sections], commands=commands, **text)
    (output / f"{NAME}.html").write_text(html, encoding="utf-8")
    return output


def opening(graph: Graph) -> str:
    """Return the first paragraph: models, data, finished stages, machine and commit."""
    places, here = graph.places, environment()
    done = sum(state_of(stage) == DONE_STATE for stage in graph.stages)
    made = f" {MADE}" if graph.made else ""
    return (
        f"Scale {graph.scale}: {places.base}, teacher {places.teacher}, data {places.data}, benchmarks "
        f"{places.benchmarks}. {done} of {len(graph.stages)} stages are done. {here['cpu']}, GPU: {here['gpu']}; "
        f"commit {here['commit'][:7]}{here['commit'][40:]}.{made}"
    )


def half(graph: Graph, lines: Sequence[Line], title: str, names: Sequence[str]) -> Section:
    """Return the section on the benchmarks `names`: the scores of each row, and below them the paper's."""
    rows = []
    for line in lines:
        rows.append([link(line.title, graph.stage(f"evaluate_{line.name}"), graph), *(_own(line, n) for n in names)])
        if line.published:
            rows.append([f"*{line.published_name}, paper*", *(f"*{line.published[n]:.1f}*" for n in names)])
    counts = {n: sorted({line.measured[n].n for line in lines if n in line.measured}) for n in names}
    asked = ["questions", *(" or ".join(map(str, counts[n])) for n in names)]
    return Section(title, ["", *names], [*rows, asked], bad(lines, names))


def _own(line: Line, name: str) -> str:
    found = line.measured.get(name)
    return "not run" if found is None else f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"


def bad(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Return a sentence that counts the questions that could not be asked and the responses cut by the length limit."""
    found = [line.measured[n] for line in lines for n in names if n in line.measured]
    asked, errors, cut = (sum(getattr(m, what) for m in found) for what in ("n", "errors", "unfinished"))
    return (
        f"Of {asked} answers {cut} were cut by the length limit; {errors} questions could not be asked (they score 0)."
    )


def stages(graph: Graph, failed: Mapping[str, str]) -> Section:
    """Return the section with the table of stages."""
    rows = [stage_row(graph, stage, failed.get(stage.name)) for stage in graph.stages]
    text = (
        "Minutes are those of the process that finished a stage; where it was interrupted before, those are not in it."
    )
    return Section("Stages", ["stage", "begins with", "state", "minutes", "commit"], rows, text)


def stage_row(graph: Graph, stage: Stage, problem: str | None) -> list[str]:
    """Return the cells of a stage: a link to it, the stage that it starts from, its state, minutes and commit.

    problem: why it failed, shown as its state; None where it did not.
    """
    record: Mapping[str, Any] = record_of(stage) or {}
    minutes = f"{record['seconds'] / 60:.1f}" if record else ""
    state = problem.replace("|", "/") if problem else state_of(stage)
    return [link(stage.name, stage, graph), stage.begins, state, minutes, str(record.get("commit", ""))[:9]]


def link(text: str, stage: Stage, graph: Graph) -> str:
    """Return a Markdown link to a stage's report, or to its folder; plain text where the stage has no folder."""
    if not stage.folder.is_dir():
        return text
    page = next((n for n in ("report.html", "results.md") if (stage.folder / n).is_file()), "")
    return f"[{text}]({stage.folder.relative_to(graph.places.output).as_posix()}/{page})"


def command(stage: Stage) -> str:
    """Return the command of a stage, to be typed in the repository's root."""
    program = "train.py" if stage.program == TRAIN else "evaluate.py"
    return shlex.join(["python", program, *stage.command])


def markdown(sections: Sequence[Section], text: Mapping[str, str], commands: Sequence[str]) -> str:
    """Return the page as Markdown. text: its opening, notes and figure; the last is "" without a figure."""
    parts = ["# The paper's table", text["opening"]]
    for section in sections:
        parts += [f"## {section.title}", table(section.head, section.rows).strip(), section.text]
    figure = f"![GRPO and RAL, here and in the paper]({text['figure']})" if text["figure"] else ""
    parts[-3:-3] = [text["notes"], figure]
    listed = "\n".join(commands)
    return "\n\n".join(p for p in [*parts, "## Commands", f"```bash\n{listed}\n```"] if p) + "\n"


def linked(section: Section) -> dict[str, Any]:
    """Return a section as the HTML template reads it, {title, head, rows, text}.

    A cell is (text, link, whether it holds a figure of the paper); link is "" where the cell has none.
    """
    rows = [[_cell(cell) for cell in row] for row in section.rows]
    return {"title": section.title, "head": section.head, "rows": rows, "text": section.text}


def _cell(cell: str) -> tuple[str, str, bool]:
    if found := LINK.fullmatch(cell):
        return found[1], found[2], False
    return cell.strip("*"), "", cell.startswith("*")
