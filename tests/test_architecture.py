"""The shape of the code: functions stay short, and what docs/architecture.md adds from outside trains."""

from __future__ import annotations

import ast
import csv
import json
import re
import statistics
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, MIXED, SMALL, TEXTS, make_pixels, make_prompts
from PIL import Image

from ral.errors import UserError
from ral.files.pretrained import MODEL_TYPES, check_folder, check_named
from ral.models.family import Turns
from ral.models.fresh import write_model
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES, register, register_named
from ral.rollout.engine import AnswerKey
from ral.rollout.turns import assemble
from ral.types import Segment, Trajectory

ROOT = CONF.parent
PAGE = ROOT / "docs" / "architecture.md"
MEDIAN_LINES, MOST_LINES_OF_90_PERCENT, MOST_LINES, MOST_LINES_OF_A_FILE = 10, 25, 60, 300
MOST_LINES_OF_A_SCRIPT = 80
MOST_ARGUMENTS, MOST_LINES_OF_THE_STEP = 8, 20
MOST_CHARACTERS_OF_A_LINE = 160
"""Of docs/architecture.md."""


def function_lengths(path: Path) -> dict[str, int]:
    """{file:name: lines} of every function, signature and docstring included."""
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path.relative_to(ROOT)}:{n.name}:{n.lineno}": (n.end_lineno or 0) - n.lineno + 1 for n in functions}


def test_functions_and_files_stay_short() -> None:
    files = sorted((ROOT / "ral").rglob("*.py"))
    lengths = {name: lines for path in files for name, lines in function_lengths(path).items()}
    assert len(lengths) > 300
    assert statistics.median(lengths.values()) <= MEDIAN_LINES
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= MOST_LINES_OF_90_PERCENT
    assert [name for name, lines in lengths.items() if lines > MOST_LINES] == []
    assert [str(p) for p in files if len(p.read_text().splitlines()) > MOST_LINES_OF_A_FILE] == []


def constructor_arguments(path: Path) -> dict[str, int]:
    """{file:class: arguments} of every written constructor, `self` left out."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    made = [(c.name, f) for c in classes for f in c.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    name = path.relative_to(ROOT)
    return {f"{name}:{of}": len(f.args.args) + len(f.args.kwonlyargs) - 1 for of, f in made}


def test_constructors_take_few_arguments() -> None:
    counts = {name: n for path in (ROOT / "ral").rglob("*.py") for name, n in constructor_arguments(path).items()}
    assert len(counts) > 20 and [name for name, count in counts.items() if count > MOST_ARGUMENTS] == []


WIDE = {
    "ral/config/schema.py:Train": 25,  # keys of a yaml that people write: its shape is theirs, and nobody constructs it
    "ral/config/schema.py:Algo": 25,  # the same
    "ral/config/schema.py:Hardware": 21,  # the same
    "ral/config/schema.py:Dataset": 11,  # the same
    "ral/config/evaluation.py:Evaluate": 21,  # the same
    "ral/config/evaluation.py:Task": 12,  # the same
    "ral/config/knockout.py:Settings": 21,  # the same
    "ral/config/exploring.py:Settings": 26,  # the same
    "ral/types/examples.py:Example": 14,  # sources outside fill by keyword what their entries have: 10 have defaults
    "ral/types/examples.py:Media": 10,  # as Example; names of its fields are those of records and of the disk cache
    "ral/models/attention/rollout_layouts.py:Decode": 9,  # three say what is decoded, the rest changes with each step
    "ral/planning/architecture.py:Decoder": 10,  # numbers of one shape, which the same equations read
    "ral/types/trajectory.py:Rollout": 11,  # one row a trajectory in each; engines add theirs by `replace`
    "ral/evaluation/benchmarks/items_file.py:Answered": 13,  # a line of a file, key by key: read and written in one go
    "ral/evaluation/benchmarks/table.py:Result": 9,  # a column of the table
}
"""Dataclasses that would read worse in parts, with the number of their fields and why."""


def dataclass_fields(path: Path) -> dict[str, int]:
    """{file:class: fields} of every dataclass, those of its bases left out."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    made = [c for c in classes if any("dataclass" in ast.unparse(d) for d in c.decorator_list)]
    name = path.relative_to(ROOT).as_posix()
    return {
        f"{name}:{c.name}": sum(isinstance(s, ast.AnnAssign) and "ClassVar" not in ast.unparse(s) for s in c.body)
        for c in made
    }


def test_dataclasses_have_few_fields() -> None:
    """Check that none has more than a constructor may take, but for those listed, which do not grow."""
    counts = {name: n for path in (ROOT / "ral").rglob("*.py") for name, n in dataclass_fields(path).items()}
    assert len(counts) > 100
    assert {name: count for name, count in counts.items() if count > MOST_ARGUMENTS} == WIDE


STEP = ROOT / "ral" / "learner" / "step.py"


def step_of_the_code() -> ast.FunctionDef:
    """Return Step.__call__ of ral/learner/step.py."""
    (step,) = [
        node
        for cls in ast.parse(STEP.read_text()).body
        if isinstance(cls, ast.ClassDef) and cls.name == "Step"
        for node in cls.body
        if isinstance(node, ast.FunctionDef) and node.name == "__call__"
    ]
    return step


def test_the_step_reads_as_a_sentence() -> None:
    step = step_of_the_code()
    statements = (step.end_lineno or 0) - step.body[1].lineno + 1
    assert statements <= MOST_LINES_OF_THE_STEP
    assert not [node for node in ast.walk(step) if isinstance(node, ast.If | ast.IfExp)]


def test_the_page_shows_the_step_of_the_code() -> None:
    """Check that the page's excerpt is the body of Step.__call__, line by line, without its `with clock(...)` lines."""
    step = step_of_the_code()
    lines = STEP.read_text().splitlines()[step.body[0].end_lineno : step.end_lineno]
    body = [line.strip() for line in lines if not line.strip().startswith("with clock(")]
    (shown,) = [rest for first, rest in blocks("python") if first == "ral/learner/step.py"]
    assert len(body) > 10 and [line.strip() for line in shown.splitlines()] == body


def test_the_lines_of_the_page_are_short() -> None:
    assert [line for line in PAGE.read_text().splitlines() if len(line) > MOST_CHARACTERS_OF_A_LINE] == []


def layers() -> list[set[str]]:
    """Return the rooms of each layer from bottom to top, by the contract that import-linter keeps."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = [contract["layers"] for contract in contracts if contract["id"] == "rooms"]
    return [{room.strip().removeprefix("ral.") for room in layer.split("|")} for layer in reversed(found)]


def test_the_documents_order_the_rooms_as_the_contract_does() -> None:
    """Check the table of docs/architecture.md and its tree of files, both from top to bottom."""
    table = PAGE.read_text().split("| package |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| ((?:`ral\.\w+` ?)+)\|", table, re.MULTILINE)
    in_table = [room for row in rows for room in re.findall(r"ral\.(\w+)", row)]
    tree = PAGE.read_text().split("\nral/ ")[1].split("\nconf/")[0]
    in_tree = [name.rstrip("/") for name in re.findall(r"^  (\w+/?) ", tree, re.MULTILINE)]
    for named in (in_table[::-1], in_tree[::-1]):
        assert len(named) == sum(map(len, layers())) == len(set(named))
        left = iter(named)
        assert [{next(left) for _ in layer} for layer in layers()] == layers()


NOT_DRAWN = {"__init__", "errors", "files", "machine", "options", "benches", "checks"}
"""Rooms that the picture of rooms leaves out: imported from anywhere, or importing anything."""


def imports_of_rooms() -> set[tuple[str, str]]:
    """Return (importing room, imported room) of all files of the package, as they are drawn."""
    found = set()
    for path in (ROOT / "ral").rglob("*.py"):
        room = path.relative_to(ROOT / "ral").parts[0].removesuffix(".py")
        nodes = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom)]
        found |= {(room, str(n.module).split(".")[1]) for n in nodes if str(n.module).startswith("ral.")}
    return {(a, b) for a, b in found if a != b and not {a, b} & NOT_DRAWN}


def reached(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return all pairs that a path of edges joins."""
    while (more := edges | {(a, d) for a, b in edges for c, d in edges if b == c}) != edges:
        edges = more
    return edges


def test_the_picture_of_the_rooms_shows_the_imports() -> None:
    """Check that every arrow drawn is an import, and that every import is an arrow or follows from some."""
    picture = PAGE.read_text().split("```mermaid\nflowchart TB\n")[1].split("```")[0]
    arrows = re.findall(r"^  (\w+) --> ([\w &]+)$", picture, re.MULTILINE)
    drawn = {(room, other.strip()) for room, others in arrows for other in others.split("&")}
    assert len(drawn) > 20 and drawn - imports_of_rooms() == set()
    assert imports_of_rooms() - reached(drawn) == set()


def blocks(language: str) -> list[tuple[str, str]]:
    """(first line, rest) of the page's fenced blocks of a language."""
    found = re.findall(rf"^```{language}\n# ([^\n]*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [(str(first), str(rest)) for first, rest in found]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with mine.py and my_conf/ from docs/architecture.md; mine.py can be imported."""
    (tmp_path / "mine.py").write_text("\n\n".join(rest for first, rest in blocks("python") if first == "mine.py"))
    for name, rest in blocks("yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rest)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = dict(FAMILIES)
    yield tmp_path
    sys.modules.pop("mine", None)
    for added in FAMILIES.keys() - known.keys():
        del FAMILIES[added]
        MODEL_TYPES.remove(added)


def write_pictures(folder: Path, count: int) -> Path:
    """A CSV file of pictures of noise, as the page's dataset reads it."""
    path = folder / "pictures.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", "question", "answer"])
        for number in range(count):
            Image.fromarray(make_pixels("image", number, (56, 56)).frames[0].numpy()).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", "What color is the star?", "red"])
    return path


def write_answers(folder: Path, count: int) -> Path:
    """Eight recorded answers to each picture, as the page's rollout engine reads them."""
    path = folder / "answers.jsonl"
    lines = [{"uid": f"row-{n}", "answers": [k * "no " + f"answer {n}" for k in range(8)]} for n in range(1, count + 1)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_everything_that_can_be_added_is_added_from_outside(outside: Path, run: Callable[..., Path]) -> None:
    """One function and one yaml each (hardware: the yaml alone), none of them in ral/ or conf/, train one step."""
    assert {p.relative_to(outside).as_posix() for p in outside.rglob("*.yaml")} == {
        "my_conf/algo/sequence.yaml",
        "my_conf/dataset/csv.yaml",
        "my_conf/reward/brief.yaml",
        "my_conf/hardware/low_memory.yaml",
        "my_conf/model/qwen3_vl_moe.yaml",
        "my_conf/rollout/replay.yaml",
        "my_conf/rollout/record.yaml",
    }
    register_named("mine.QWEN3_VL_MOE")
    model = str(write_model(outside / "model", TEXTS, family="qwen3_vl_moe", sizes=SMALL, seed=3, vocab_size=300))
    folder = run(
        f"hydra.searchpath=[file://{outside / 'my_conf'}]",
        *(
            "algo=sequence",
            "dataset=csv",
            "reward=brief",
            "hardware=low_memory",
            "model=qwen3_vl_moe",
            "rollout=replay",
        ),
        f"rollout.engine.path={write_answers(outside, 8)}",
        f"dataset.path={write_pictures(outside, 8)}",
        *("dataset.source.held_out=2", "dataset.media.image_min_pixels=784", "dataset.max_new_tokens=6"),
        *("algo.prompts_per_step=4", "max_steps=1", "eval.every=0"),
        f"model.pretrained={model}",
    )
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"train/loss_sequence", "train/sequence_ratio", "train/brevity"} <= set(line)
    assert "train/loss_token" not in line and 0 < line["train/brevity"] <= 1
    records = [json.loads(text) for text in (folder / "eval" / "after.jsonl").read_text().splitlines()]
    assert [(r["uid"], r["response"]) for r in records] == [("row-7", "answer 7"), ("row-8", "answer 8")]
    assert line["train/policy_version"] == 0 and "train/engine_log_prob_gap" not in line
    before = MLLM.load(model).network.state_dict()
    after = MLLM.load(str(folder / "hf")).network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_what_the_recording_engine_writes_makes_its_rollouts_again(
    outside: Path, run: Callable[..., Path], small: list[str], load: Callable[..., MLLM]
) -> None:
    """One line an answer with a key of its own, from which the page's three lines make ids, log-probs and texts."""
    recorded = outside / "recorded.jsonl"
    run(
        f"hydra.searchpath=[file://{outside / 'my_conf'}]",
        *("algo=grpo", *small, "rollout=record", f"rollout.engine.path={recorded}"),
        *("max_steps=1", "eval.every=0", "algo.group_size=2"),
    )
    lines = [json.loads(text) for text in recorded.read_text().splitlines()]
    assert [line["version"] for line in lines] == [0] * 4 + [0] * 8 + [1] * 4
    keys = {json.dumps([line[name] for name in (*AnswerKey.__dataclass_fields__, "answer")]) for line in lines}
    assert len(keys) == len(lines) == 16 and all(line["log_probs"] for line in lines)
    policy = load()
    prompts = policy.prepare(make_prompts(policy, ((), ("image",))))
    names = {"policy": policy, "prompts": prompts, "lines": lines[4:8]}
    names |= {"Segment": Segment, "Trajectory": Trajectory, "assemble": assemble}
    (way,) = re.findall(r"^```python\n(segments = .*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    exec(way, names)
    rollout: Any = names["rollout"]
    assert rollout.group_size == 2 and rollout.policy_version == 0
    for n, line in enumerate(lines[4:8]):
        assert rollout.token_ids[n][rollout.trainable[n]].tolist() == line["ids"]
        assert rollout.log_probs[n][rollout.trainable[n]].tolist() == pytest.approx(line["log_probs"])


def test_a_file_that_is_not_there_is_named(outside: Path, load: Callable[..., MLLM]) -> None:
    replay = import_module("mine").Replay
    with pytest.raises(UserError, match=r"^rollout.engine.path=none.jsonl: No such file .* where train.py was started"):
        replay(load(), path="none.jsonl")


def test_a_family_from_outside_is_served_by_both_paths_alike(outside: Path) -> None:
    """The shared-prompt layout and Transformers' own masks give the same states for its random model."""
    register_named("mine.QWEN3_VL_MOE")
    folder = str(write_model(outside / "model", TEXTS, family="qwen3_vl_moe", sizes=SMALL, seed=3, vocab_size=300))
    ids = torch.randint(5, 250, (2 * len(MIXED), 6), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids, dtype=torch.bool)
    found = []
    for kind in (MLLM, PlainMLLM):
        model = kind.load(folder)
        with torch.no_grad():
            found.append(model.states(model.prepare(make_prompts(model, MIXED)), ids, mask, None).hidden)
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-4)


def test_what_is_no_family_or_another_s_is_one_line(outside: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", TEXTS, family="qwen3_vl", sizes=SMALL, seed=3, vocab_size=300)
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "qwen3_vl_moe"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"model_type 'qwen3_vl_moe'; this project trains .*qwen3_vl; a family of your own is named by"
    ):
        check_folder(str(folder))
    check_named({"model": {"pretrained": str(folder), "family": "mine.QWEN3_VL_MOE"}})
    with pytest.raises(UserError, match=r"model.pretrained=.*this project trains"):
        check_named({"model": {"pretrained": str(folder)}})
    with pytest.raises(UserError, match=r"model.family=mine.NONE: cannot be imported .*write module.NAME"):
        register_named("mine.NONE")
    with pytest.raises(UserError, match=r"model.family=mine.brevity: is a function; name a ral.models.family.Family"):
        register_named("mine.brevity")
    with pytest.raises(UserError, match=r"model_type 'qwen3_vl' is that of another family already"):
        register(replace(FAMILIES["qwen3_vl"], turns=Turns()))
    register_named("mine.QWEN3_VL_MOE")
    check_folder(str(folder))


def test_scripts_are_command_lines_alone() -> None:
    """At most 80 lines each, over the package: none but `installed` is imported by another, nor by the package."""
    paths = sorted((ROOT / "scripts").glob("*.py"))
    names = {path.stem for path in paths} - {"installed"}
    trees = [ast.parse(path.read_text()) for path in (*paths, *(ROOT / "ral").rglob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert len(names) > 15 and {"ral.study.compare", "json"} <= imported
    assert {name for name in imported if name.split(".")[0] in {*names, "scripts", "bench"}} == set()
    assert [path.name for path in paths if len(path.read_text().splitlines()) > MOST_LINES_OF_A_SCRIPT] == []


def test_no_script_hides_a_package() -> None:
    """Python puts scripts/ first on the path of a script: a tabulate.py there would be what torch imports."""
    folders = {path.name for path in (ROOT / "scripts").iterdir() if path.is_dir()} - {"__pycache__"}
    names = [*(path.stem for path in (ROOT / "scripts").glob("*.py")), *folders]
    outside = [entry for entry in sys.path if Path(entry).name != "scripts"]
    assert len(names) > 10
    assert [name for name in names if PathFinder.find_spec(name, outside) is not None] == []
