"""Inputs of stages that do not exist, all named before the first stage begins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

from ral.errors import UserError
from ral.files.pretrained import check_folder
from ral.study.paper.graph import BASE, BENCHMARKS, EVALUATE, TRAIN, Graph, Stage, model_of
from ral.study.paper.records import record_of

GB = 1e9
PATHS = re.compile(r'"path"\s*:\s*"([^"]+)"')
HEAD = 2**16
"""Bytes at the beginning of a file of entries that are searched for names of media."""


def missing(graph: Graph, chosen: Sequence[Stage], disk_gb: float) -> list[str]:
    """Return a line for each input of the chosen stages that does not exist; the line names the key to set.

    Stages that are done need no inputs. disk_gb: free disk that the stages need, in GB.
    """
    todo = [stage for stage in chosen if record_of(stage) is None]
    return [*earlier(graph, chosen, todo), *inputs(graph, todo), *disk(graph, disk_gb)] if todo else []


def earlier(graph: Graph, chosen: Sequence[Stage], todo: Sequence[Stage]) -> Iterator[str]:
    """Yield a line for each stage outside `chosen` that a stage of `todo` starts from and whose model does not exist.

    The model does not exist where that stage is not done, or where its folder hf/ is missing.
    """
    there = {BASE, *(stage.name for stage in chosen)}
    for name in dict.fromkeys(stage.begins for stage in todo if stage.begins not in there):
        after = ", ".join(stage.name for stage in todo if stage.begins == name)
        if record_of(graph.stage(name)) is None:
            yield f"stages: {after} begins with {name}, which is not done; add {name} to stages"
        else:
            yield from told(lambda name=name: check_folder(model_of(name, graph.places), name))  # type: ignore[misc]


def inputs(graph: Graph, todo: Sequence[Stage]) -> Iterator[str]:
    """Yield a line for each model, file of entries, folder of media and benchmark that `todo` needs and lacks."""
    places = graph.places
    if any(stage.begins == BASE for stage in todo):
        yield from told(lambda: check_folder(places.base, "base"))
    if any(stage.teacher for stage in todo):
        yield from told(lambda: check_folder(places.teacher, "teacher"))
    for file in dict.fromkeys(stage.file for stage in todo if stage.program == TRAIN):
        yield from entries(places.data, file)
    if any(stage.program == EVALUATE for stage in todo):
        for name in BENCHMARKS:
            yield from told(lambda name=name: look_at(places.benchmarks, name))  # type: ignore[misc]


def told(look: Callable[[], None]) -> Iterator[str]:
    """Yield the message of the UserError that `look` raises; nothing where it raises none."""
    try:
        look()
    except UserError as error:
        yield str(error)


def entries(data: Path, file: str) -> Iterator[str]:
    """Yield a line where the file of entries is missing, or all of the media that it names at its beginning."""
    path, write = data / file, "write data=<the folder of Video-R1's files and of their media>"
    if not path.is_file():
        yield f"data={data}: {file} is not in it; {write}"
        return
    with path.open("rb") as opened:
        named = PATHS.findall(opened.read(HEAD).decode("utf-8", errors="replace"))
    if not any((data / name).is_file() for name in named):
        first = f", such as {named[0]}" if named else ""
        yield f"data={data}: none of the first media that {file} names is below it{first}; {write}"


def look_at(benchmarks: Path, name: str) -> None:
    """Raise UserError, which names the key `benchmarks`, unless a benchmark's folder has its published layout.

    benchmarks: folder of all benchmarks. name: name of the benchmark and of its folder.
    """
    module = import_module(f"ral.evaluation.benchmarks.{name}")
    try:
        module.load(benchmarks / name)
    except UserError as error:
        line = str(error).replace(
            "write benchmark.path=<the downloaded folder>", "write benchmarks=<its parent folder>"
        )
        raise UserError(f"benchmarks={benchmarks}: {name}: {line}") from error


def disk(graph: Graph, needed_gb: float) -> Iterator[str]:
    """Yield a line where the disk of the output folder has less than `needed_gb` GB free."""
    output = graph.places.output.absolute()
    there = next(folder for folder in (output, *output.parents) if folder.exists())
    free = shutil.disk_usage(there).free / GB
    if free < needed_gb:
        short = f"{free:.0f} GB are free there, and the stages take {needed_gb:.0f} GB"
        yield f"output={graph.places.output}: {short}; write output=<a folder on a larger disk>"
