"""The plan of `scripts/reproduce.py`: tables of rows (conf/reproduce.yaml), their cells, and which cells are done.

A cell is a list of overrides and a seed. Its folder follows from these alone, so that tables share cells.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ral.errors import UserError
from ral.files import jsonl
from ral.files.hashed import text_hash

MAIN = "main"
"""The table of the claims, except for claims on more tokens and frames, whose tables have an axis."""
DONE = "done.json"
"""File that is written last into the folder of a successful cell: seconds, commit, command."""
THREADS = "1"  # of a run: other numbers of threads add floats up in another order
UNSAFE = re.compile(r"[^\w.-]+")
VALUED = re.compile(r"(\w+), (\d+)")
"""Label of a row in a table with an axis: method and value."""
AXES = ("tokens", "frames", "steps")
"""Kinds of values in such labels: visual tokens of a picture, frames of a clip, steps of a route."""
LONGEST = 100  # characters of a folder's name before its hash
DIGITS = 6  # of the hash that keeps folders of different overrides apart


@dataclass(frozen=True)
class Row:
    """Runs that differ in their seed alone.

    overrides: settings of train.py, in order. baseline: label of the row it is compared with, None where it has none.
    own_seeds: number of seeds, where the row has its own; None: the table's.
    """

    label: str
    overrides: tuple[str, ...]
    baseline: str | None
    own_seeds: int | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Return (method, value) from the label of a row in a table with an axis."""
        method, value = self.label.split(", ")
        return method, int(value)

    @property
    def own_data(self) -> bool:
        """Tell whether the row's model or media differ from those of the shipped model's row."""
        others = ("dataset.path=", "dataset.source.", "experiment=path")
        return any(override.startswith(others) for override in self.overrides)

    def seeds(self, asked: Sequence[int]) -> tuple[int, ...]:
        """Return the seeds to run: 0 to own_seeds - 1 where the row has its own number, else those asked for."""
        return tuple(asked) if self.own_seeds is None else tuple(range(self.own_seeds))


@dataclass(frozen=True)
class Table:
    """Rows under a title.

    seeds, first_seed: rows run seeds first_seed to first_seed + seeds - 1, or the ones that the command line names; a
    row with own_seeds runs 0 to own_seeds - 1, whatever is asked for. kl: whether accuracy against KL is drawn. axis:
    one of AXES where labels read "method, value"; else "".
    """

    name: str
    title: str
    seeds: int
    rows: tuple[Row, ...]
    kl: bool = False
    axis: str = ""
    first_seed: int = 0

    def row(self, label: str) -> Row | None:
        """Return the row with a label; None where there is none."""
        return next((row for row in self.rows if row.label == label), None)


@dataclass(frozen=True)
class Cell:
    """One run to make. folder: where the run is made. keep_weights: whether its hf/ is kept."""

    overrides: tuple[str, ...]
    seed: int
    folder: Path
    keep_weights: bool = False

    @property
    def name(self) -> str:
        """Return the overrides and the seed as one text."""
        return f"{' '.join(self.overrides)} seed={self.seed}"


def read_tables(raw: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of conf/reproduce.yaml (`raw`).

    UserError for a baseline that is no row, an unknown axis, or, in a table with an axis, a label that is not
    "method, value".
    """
    tables = {}
    for name, node in raw["tables"].items():
        rows = tuple(_row(str(label), value, node.get("baseline")) for label, value in node["rows"].items())
        labels = [row.label for row in rows]
        for row in rows:
            if row.baseline is not None and row.baseline not in labels:
                raise UserError(f"table {name}: row {row.label!r} is compared with {row.baseline!r}, which is no row")
        tables[str(name)] = Table(
            str(name),
            str(node["title"]),
            int(node["seeds"]),
            rows,
            bool(node.get("kl")),
            _axis(name, node),
            int(node.get("first_seed") or 0),
        )
    return tables


def _axis(name: str, node: Mapping[str, Any]) -> str:
    axis = str(node.get("axis") or "")
    wrong = [label for label in node["rows"] if axis and not VALUED.fullmatch(str(label))]
    if axis not in ("", *AXES) or wrong:
        raise UserError(f"table {name}: axis={axis}: write {', '.join(AXES)}, and labels such as `ral, 16`")
    return axis


def _row(label: str, value: str | Mapping[str, Any], baseline: str | None) -> Row:
    node: Mapping[str, Any] = {"overrides": value} if isinstance(value, str) else dict(value)
    against = node.get("baseline", baseline)
    return Row(
        label, in_order(str(node["overrides"]).split()), None if against == label else against, node.get("seeds")
    )


def in_order(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides sorted, experiment= first."""
    return tuple(sorted(overrides, key=lambda o: (not o.startswith("experiment="), o)))


def cell_name(overrides: Sequence[str]) -> str:
    """Return a folder's name for overrides in any order: `grpo` for experiment=grpo alone, else a name with a hash."""
    ordered = in_order(overrides)
    slug = UNSAFE.sub("_", "_".join(o.removeprefix("experiment=") for o in ordered)).strip("_")
    if len(ordered) == 1 and ordered[0].startswith("experiment="):
        return slug
    return f"{slug[:LONGEST]}_{text_hash(' '.join(sorted(overrides)))[:DIGITS]}"


def run_folder(output: Path, overrides: Sequence[str], seed: int) -> Path:
    """Return the folder of a cell's run below `output`."""
    return output / "runs" / cell_name(overrides) / f"seed_{seed}"


def run_directory(folder: Path) -> str:
    """Return the override of train.py that sets the run's folder."""
    text = str(folder)
    plain = all(c.isalnum() or c in "/._-+" for c in text)
    return f"hydra.run.dir={text if plain else repr(text)}"


def command_line(overrides: Sequence[str], seed: int, folder: Path | None = None) -> str:
    """Return the shell command of a cell, to be typed in the repository's root.

    folder: the run's folder; None: not set.
    """
    given = [*overrides, f"seed={seed}", *([] if folder is None else [run_directory(folder)])]
    return f"OMP_NUM_THREADS={THREADS} {shlex.join(['python', 'train.py', *given])}"


def select(tables: Mapping[str, Table], names: Sequence[str], labels: Sequence[str] | None) -> list[Table]:
    """Return the named tables with the named rows (None: all). UserError for unknown names, with the known ones."""
    for name in names:
        if name not in tables:
            raise UserError(f"tables={name}: no such table; write some of {', '.join(tables)}")
    chosen = [tables[name] for name in names]
    known = list(dict.fromkeys(row.label for table in chosen for row in table.rows))
    for label in labels or ():
        if label not in known:
            raise UserError(f"rows={label}: no such row in {', '.join(names)}; write some of {'; '.join(known)}")
    if labels is None:
        return chosen
    return [replace(t, rows=tuple(r for r in t.rows if r.label in labels)) for t in chosen]


def seeds_of(table: Table, asked: Sequence[int] | None) -> tuple[int, ...]:
    """Return the seeds asked for; None: those of the table."""
    first = table.first_seed
    return tuple(range(first, first + table.seeds)) if asked is None else tuple(asked)


def cells(tables: Sequence[Table], asked: Sequence[int] | None, output: Path, keep: Sequence[str]) -> list[Cell]:
    """Return every cell once, sorted by seed over all rows, so that an interruption leaves whole low seeds.

    asked: seeds; None: each table's. keep: names of experiments; the weights of rows with experiment=NAME alone are
    kept.
    """
    found: dict[Path, Cell] = {}
    for table in tables:
        for row in table.rows:
            for seed in row.seeds(seeds_of(table, asked)):
                folder = run_folder(output, row.overrides, seed)
                kept = row.overrides in {(f"experiment={name}",) for name in keep}
                found.setdefault(folder, Cell(row.overrides, seed, folder, kept))
    return sorted(found.values(), key=lambda cell: cell.seed)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the run's metrics.jsonl, broken ones left out."""
    return jsonl.readable(folder / "metrics.jsonl")


def evaluated(folder: Path) -> bool:
    """Tell whether the run has an evaluation at its max_steps."""
    path = folder / "config.yaml"
    if not path.is_file():
        return False
    steps = yaml.safe_load(path.read_text()).get("max_steps")
    return any(line.get("step") == steps and "eval/accuracy" in line for line in metrics(folder))


def leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {dotted key: value} of all values that are no mapping."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        found |= leaves(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def experiment_settings(path: Path) -> dict[str, Any]:
    """Return {dotted key: value} of an experiment's yaml, with those of its defaults list that it does not set."""
    node = yaml.safe_load(path.read_text()) or {}
    found: dict[str, Any] = {}
    for entry in node.pop("defaults", ()):
        if isinstance(entry, str) and entry != "_self_":
            found |= experiment_settings(path.parent / f"{entry}.yaml")
    return found | leaves(node)


def overlay(overrides: Sequence[str], experiments: Path) -> dict[str, Any]:
    """Return {dotted key: value} that the experiment among the overrides sets and the overrides do not set themselves.

    experiments: the folder of experiments' yamls.
    """
    given = dict(override.partition("=")[::2] for override in overrides)
    path = experiments / f"{given.get('experiment')}.yaml"
    found = experiment_settings(path) if path.is_file() else {}
    own = tuple(f"{key}." for key in given)
    return {k: v for k, v in found.items() if not f"{k}.".startswith(own)}


def up_to_date(folder: Path, overrides: Sequence[str], experiments: Path) -> bool:
    """Tell whether the run was made with the settings that its experiment's yaml has now."""
    made = leaves(yaml.safe_load((folder / "config.yaml").read_text()))
    return all(made.get(key) == value for key, value in overlay(overrides, experiments).items())


def is_done(folder: Path, overrides: Sequence[str], experiments: Path) -> bool:
    """Tell whether a cell needs no run: it was successful, evaluated at its end, and its experiment has not changed."""
    return (folder / DONE).is_file() and evaluated(folder) and up_to_date(folder, overrides, experiments)
