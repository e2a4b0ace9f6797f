"""The graph of `scripts/paper.py` (conf/paper.yaml): stages, each of which comes after the stage it starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.files.repository import find
from ral.study.plan import run_directory

TRAIN, EVALUATE = "train", "evaluate"
"""The programs that run stages. In `stages=` the name of a program stands for all of its stages."""
BASE = "base"
"""The pretrained model: supervised stages start from it, and it is a row of the table."""
BENCHMARKS = (
    *("longvideobench", "nextqa", "videomme", "videommmu", "lvbench", "mvbench", "tempcompass"),
    *("vstar", "mmmu_pro", "mme", "muirbench", "chartqa", "vizwiz", "blink", "cv_bench"),
)
"""The paper's seven video benchmarks and eight image benchmarks, in the order of its table."""
VIDEO = BENCHMARKS[:7]
HERE = Path(__file__).parent
"""Folder of this module's prompt templates (.j2 files)."""
SUITES = "benchmark=[paper_video,paper_image]"


@dataclass(frozen=True)
class Places:
    """Folders and models that the stages of one table use.

    base, teacher: folder or hub id of a model. data: folder of Video-R1's files and media. benchmarks: a folder that
    holds one folder for each benchmark. output: folder of the stages.
    """

    base: str
    teacher: str
    data: Path
    benchmarks: Path
    output: Path


@dataclass(frozen=True)
class Stage:
    """One run of train.py or evaluate.py, in a folder of its own.

    program: "train" or "evaluate". begins: the stage whose model this one starts from or evaluates, "base" for the
    pretrained model. names: the settings that name folders and models; settings: all other settings. folder: folder of
    the run. file: the file of entries to train on, below Places.data; "" for evaluations. teacher: whether the stage
    needs the teacher.
    """

    name: str
    program: str
    settings: tuple[str, ...]
    begins: str
    folder: Path
    names: tuple[str, ...]
    file: str = ""
    teacher: bool = False

    @property
    def command(self) -> list[str]:
        """Return the arguments of train.py or evaluate.py, in order."""
        return [*self.settings, *self.names]


@dataclass(frozen=True)
class Row:
    """A row of the table. title: what the table calls it.

    published: name of the paper's row, None where the paper has none.
    """

    name: str
    title: str
    published: str | None


@dataclass(frozen=True)
class Graph:
    """All stages in order, and the rows of the table.

    disk_gb: free disk in GB that the stages need; None: what their plans add up to. made: whether data and benchmarks
    are synthetic and have to be made first.
    """

    scale: str
    places: Places
    stages: tuple[Stage, ...]
    rows: tuple[Row, ...]
    disk_gb: float | None
    made: bool

    def stage(self, name: str) -> Stage:
        """Return the stage with a name. StopIteration where there is none."""
        return next(stage for stage in self.stages if stage.name == name)


@dataclass(frozen=True)
class Asked:
    """The settings of the command line that decide the graph.

    base, teacher, data, benchmarks: None for those of the scale. more: {program or stage: further settings of it}.
    """

    scale: str
    output: Path
    seed: int = 0
    base: str | None = None
    teacher: str | None = None
    data: Path | None = None
    benchmarks: Path | None = None
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_graph(raw: Mapping[str, Any], asked: Asked) -> Graph:
    """Return the graph of a scale. raw: content of conf/paper.yaml.

    UserError for an unknown scale, or where `asked.more` names an unknown stage.
    """
    if asked.scale not in raw["scales"]:
        raise UserError(f"scale={asked.scale}: no such scale; write one of {', '.join(raw['scales'])}")
    scale = raw["scales"][asked.scale]
    made = asked.output / "data"
    places = Places(
        base=asked.base or scale["base"],
        teacher=asked.teacher or scale["teacher"],
        data=asked.data or Path(scale["data"] or made / "video_r1"),
        benchmarks=asked.benchmarks or Path(scale["benchmarks"] or made / "benchmarks"),
        output=asked.output,
    )
    training = [_training(raw, scale, places, asked, name) for name in raw["stages"]]
    evaluations = [_evaluation(raw, scale, places, asked, name) for name in raw["rows"]]
    stages = (*training, *evaluations)
    if unknown := [name for name in asked.more if name not in (TRAIN, EVALUATE, *(s.name for s in stages))]:
        names = ", ".join((TRAIN, EVALUATE, *(s.name for s in stages)))
        raise UserError(f"{unknown[0]}.KEY=VALUE: no such stage; begin a setting of a stage with one of {names}")
    rows = tuple(Row(name, node["title"], node["paper"]) for name, node in raw["rows"].items())
    own_data = scale["data"] is None and asked.data is None
    return Graph(asked.scale, places, stages, rows, scale["disk_gb"], own_data)


def _training(raw: Mapping[str, Any], scale: Mapping[str, Any], places: Places, asked: Asked, name: str) -> Stage:
    node = raw["stages"][name]
    own = [node["settings"], scale.get(TRAIN, ""), scale.get(node["kind"], "")]
    settings = [*" ".join(own).split(), f"seed={asked.seed}", *asked.more.get(TRAIN, ()), *asked.more.get(name, ())]
    file, folder = raw["kinds"][node["kind"]]["file"], places.output / name
    names = [
        f"model.pretrained={model_of(node['from'], places)}",
        *([f"model.teacher={places.teacher}"] if node.get("teacher") else []),
        f"dataset.path={places.data / file}",
        f"dataset.media_root={places.data}",
        run_directory(folder),
        "resume=auto",
    ]
    return Stage(name, TRAIN, tuple(settings), node["from"], folder, tuple(names), file, bool(node.get("teacher")))


def _evaluation(raw: Mapping[str, Any], scale: Mapping[str, Any], places: Places, asked: Asked, row: str) -> Stage:
    name, wording = f"{EVALUATE}_{row}", scale["wordings"][raw["rows"][row]["wording"]]
    wording = str(HERE / wording) if wording.endswith(".j2") else wording
    more = (*asked.more.get(EVALUATE, ()), *asked.more.get(name, ()))
    settings = (SUITES, f"template={wording}", *scale.get(EVALUATE, "").split(), *more)
    folder = places.output / EVALUATE / row
    names = (f"checkpoint={model_of(row, places)}", f"benchmark.path={places.benchmarks}", f"output={folder}")
    return Stage(name, EVALUATE, settings, row, folder, names)


def model_of(stage: str, places: Places) -> str:
    """Return the model that a stage leaves: folder hf/ of its run.

    For "base" it is the pretrained model's folder or hub id.
    """
    return find(places.base) if stage == BASE else str(places.output / stage / "hf")


def choose(graph: Graph, names: Sequence[str]) -> list[Stage]:
    """Return the chosen stages in the graph's order. UserError for an unknown name, with the known ones.

    names: stages, or programs for all of their stages; () for all.
    """
    known = [stage.name for stage in graph.stages]
    for name in names:
        if name not in (TRAIN, EVALUATE, *known):
            raise UserError(f"stages={name}: no such stage; write some of {', '.join((TRAIN, EVALUATE, *known))}")
    return [s for s in graph.stages if not names or s.name in names or s.program in names]
