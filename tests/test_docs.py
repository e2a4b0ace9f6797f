"""The documents say what the code does: metrics, files, fields, names, links, formulas, and the file tree."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, SMALL, train_in
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from test_reward_model import write_pairs
from test_training import REWARD_FOR_LENGTH

from ral.config.rules import TAKEN
from ral.config.signature import locate
from ral.evaluation.looks import MEASURES
from ral.ops.attention import renormalise
from ral.ops.divergence import jsd
from ral.ops.signals import SIGNALS
from ral.report.panels import PANELS
from ral.types import PROBLEM_TYPES, Step

ROOT = CONF.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


def section(page: Path, heading: str) -> str:
    """The text under one heading of a page, up to the next heading of the same or a higher level."""
    found = re.search(
        rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, f"{page.name} has no heading {heading!r}"
    return found[2]


def first_column(text: str) -> list[str]:
    """The names in backquotes that stand first in the rows of a text's tables."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


# ------------------------------------------------------------------------------------- what a run logs and leaves


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, small: list[str]) -> list[Path]:
    """Folders of one-step runs of algorithms, each with keys of its own."""

    with pytest.MonkeyPatch.context() as patch:
        # a random model writes no answer block and takes no step: its whole response stands for one
        half = Step("", ((0.0, 0.0, 0.5, 1.0),))
        patch.setattr("ral.evaluation.looks.step_spans", lambda steps, text: [(half, (0, len(text) + 1))])
        patch.setattr("ral.evaluation.held_out.answer_tokens", lambda processor, ids, text: [True] * len(ids))
        root = tmp_path_factory.mktemp("runs")
        overrides = [*small, "max_steps=1", "eval.every=0"]
        rl = [*overrides, "algo.updates_per_rollout=2", "algo.group_size=2"]
        pairs = [o for o in overrides if not o.startswith("dataset.")]
        pairs += ["dataset=jsonl", f"dataset.path={write_pairs(root / 'pairs')}", "dataset.media.image_min_pixels=784"]
        chosen = {
            "sft": overrides,
            "ral": [*rl, "eval.layers=all"],
            "ral_distill": rl,
            "t_grpo": [*rl, "algo.prompts_per_step=16"],
        }
        chosen |= {"ral_explore": rl, "reward_model": pairs}
        again = ["algo.prompts_per_step=2", "algo.objective=[token,entropy]"]
        chosen["dapo"] = [*rl, *again]
        chosen["ral_group"] = [*rl, REWARD_FOR_LENGTH, "algo.token.correction=token_truncate"]
        chosen |= {"ral_oracle": [*rl, "algo.passes.places._target_=test_looking.everything"], "ral_look": rl}
        chosen |= {"papo": rl, "vppo": rl, "evidence_distill": rl, "ease": [*rl, REWARD_FOR_LENGTH]}
        return [train_in(root / algo, f"algo={algo}", *settings) for algo, settings in chosen.items()]


@cache
def algorithms() -> dict[str, dict[str, Any]]:
    """{name: its node as composed, unresolved} of every algorithm in conf/algo."""
    names = [path.stem for path in sorted((CONF / "algo").glob("*.yaml"))]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed: dict[str, Any] = {n: OmegaConf.to_container(compose(f"algo/{n}"), resolve=False) for n in names}
    return {name: tree["algo"] for name, tree in composed.items()}


@cache
def term_names() -> tuple[str, ...]:
    """Names of the terms that the algorithms in conf/algo sum, and of the one that none sums by itself."""
    return tuple({"entropy", *(name for algo in algorithms().values() for name in algo["objective"])})


def pattern(key: str) -> re.Pattern[str]:
    """A documented key as a pattern of logged keys; each placeholder stands for the names it can have."""
    names: dict[str, Iterable[str]] = {
        "term": term_names(),
        "k": ("[1-9][0-9]*",),
        "layer": ("[0-9]+",),
        "type": [t.replace(" ", "_").replace("-", "_").lower() for t in PROBLEM_TYPES],
        "medium": ("image", "video", "text"),
    }
    parts = re.split(r"<(\w+)>", key)
    return re.compile("".join(f"({'|'.join(names[p])})" if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_keys(runs: list[Path]) -> None:
    """docs/metrics.md names every logged key, and nothing that no run logs."""
    logged = {key for run in runs for line in read_lines(run / "metrics.jsonl") for key in line}
    documented = first_column((DOCS / "metrics.md").read_text())
    assert len(documented) == len(set(documented)) > 30
    patterns = {key: pattern(key) for key in documented}
    assert [k for k in sorted(logged) if not any(p.fullmatch(k) for p in patterns.values())] == []
    assert [k for k, p in patterns.items() if not any(p.fullmatch(name) for name in logged)] == []


def check_fields(runs: list[Path]) -> None:
    """docs/outputs.md names the fields of eval/*.jsonl, and no others, in their order."""
    for run in runs:
        pairs = run.name == "reward_model"
        heading = "Evaluation records of a reward model" if pairs else "eval/before.jsonl and eval/after.jsonl"
        documented = first_column(section(DOCS / "outputs.md", heading))
        if run.name == "ral":  # with eval.layers=all
            place = documented.index("grounding_answer") + 1
            documented[place:place] = [f"{name}_by_layer" for name in MEASURES]
            text = section(DOCS / "outputs.md", heading)
            assert "four more fields after `grounding_answer`" in text
            assert (
                "`grounding_by_layer`, `grounding_all_by_layer`, `grounding_steps_by_layer` and `pointing_by_layer`"
                in text
            )
        for name in ("before", "after"):
            assert all(list(record) == documented for record in read_lines(run / "eval" / f"{name}.jsonl"))


def check_files(runs: list[Path]) -> None:
    """docs/outputs.md names what a run's folder holds; .hydra, wandb and explore.html are not made in these runs."""
    documented = {name.rstrip("/") for name in first_column(section(DOCS / "outputs.md", "Files"))}
    for run in runs:
        assert {path.name for path in run.iterdir()} == documented - {".hydra", "wandb", "explore.html"}


def test_runs_log_and_leave_what_the_documents_say(runs: list[Path]) -> None:
    check_keys(runs)
    check_fields(runs)
    check_files(runs)


def test_the_policys_layer_grounds_alike_alone_and_among_all(runs: list[Path]) -> None:
    """eval.layers=all captures every layer in the pass; the last one's grounding is that of attention_policy.layers."""
    (run,) = (run for run in runs if run.name == "ral")
    records = [r for r in read_lines(run / "eval" / "after.jsonl") if r["grounding"] is not None]
    assert records and all(len(r["grounding_by_layer"]) == SMALL.layers for r in records)
    means = read_lines(run / "metrics.jsonl")[-1]
    for name in MEASURES:
        assert all(r[f"{name}_by_layer"][-1] == r[name] for r in records)
        assert any(r[f"{name}_by_layer"][0] != r[name] for r in records)
        assert means[f"eval/{name}_layer_{SMALL.layers - 1}"] == means[f"eval/{name}"]


def test_every_metric_has_formula_unit_and_reduction() -> None:
    rows = re.findall(r"^\| `[^`]+` \|(.*)\|$", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert all(len(cells) == 3 and all(c.strip() for c in cells) for cells in (row.split(" | ") for row in rows))


def test_no_part_of_a_reward_may_take_a_documented_name() -> None:
    """config.TAKEN is what the pages name, less the parts themselves and the names with a placeholder."""
    metrics = [key.removeprefix("train/") for key in first_column((DOCS / "metrics.md").read_text())]
    fields = first_column(
        (DOCS / "outputs.md").read_text().split("## eval/before.jsonl")[1].split("\n## checkpoints")[0]
    )
    names = {name for name in (*metrics, *fields) if name.isidentifier()}
    assert names - TAKEN == {"step", "accuracy", "format", "temporal", "length"} and names >= TAKEN


def test_every_field_of_a_yaml_has_a_comment() -> None:
    """Check that values have comments, but for names in underscores, the paper's rows, and values of another field.

    An objective is a list of names; conf/algo/shared/loop.yaml says of what.
    """
    plain = re.compile(
        r"^ *(?!_|GRPO|RAL|defaults|objective)\w+: (?!\$\{(?:algo|dataset|reward)\.)[^#\n]+$", re.MULTILINE
    )
    pages = [p for p in CONF.rglob("*.yaml") if "help" not in p.parts]
    assert len(pages) > 25
    assert [(p.name, line) for p in pages for line in plain.findall(p.read_text())] == []


def test_the_curves_of_the_report_are_documented() -> None:
    patterns = [pattern(key) for key in first_column((DOCS / "metrics.md").read_text())]
    assert [k for panel in PANELS for k in panel.keys if not any(p.fullmatch(k) for p in patterns)] == []


def test_keys_to_script_against_exist() -> None:
    keys = first_column(section(DOCS / "outputs.md", "Keys to script against"))
    assert len(keys) == 13
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", return_hydra_config=True)
    container: Any = OmegaConf.to_container(cfg, resolve=False)
    for key in keys:
        node = container
        for part in key.split("."):
            assert part in node, key
            node = node[part]


# --------------------------------------------------------------------------------------- names, links and code blocks


def mentions(form: str) -> list[tuple[str, str]]:
    """(page, text) of everything in backquotes that has a form."""
    return [
        (page.name, text) for page in PAGES if page.exists() for text in re.findall(rf"`({form})`", page.read_text())
    ]


def test_functions_that_documents_name_exist() -> None:
    named = mentions(r"ral\.\w+[\w.]*")
    assert len(named) > 30
    for page, name in named:
        locate(name, page)


def test_tests_that_documents_name_exist() -> None:
    named = mentions(r"tests/\w+\.py::\w+")
    assert len(named) > 30
    for page, name in named:
        file, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / file).read_text(), f"{page}: {name}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.exists()], ids=lambda p: p.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in links:
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_code_that_documents_quote_is_the_code() -> None:
    """A python block that begins with "# ral/..." stands in that file, line after line."""
    quoted = [
        (file, body)
        for page in PAGES
        if page.exists()
        for file, body in re.findall(r"^```python\n# (ral/\S+)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    ]
    assert quoted
    for file, body in quoted:
        lines = iter(line.strip() for line in (ROOT / file).read_text().splitlines())
        for wanted in (line.strip() for line in body.splitlines() if line.strip()):
            assert any(line == wanted for line in lines), f"{file} has no such line at its place: {wanted}"


def test_the_table_of_signals_is_that_of_the_code() -> None:
    page = (DOCS / "method.md").read_text().split("## Signals that a term may ask for")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE))
    assert rows == {name: signal.meaning for name, signal in SIGNALS.items()}


# ------------------------------------------------------------------------------------------------- the file tree


def tree() -> dict[str, Path]:
    """{path from the root: path} of the file tree in architecture.md: its first code block with conf/ and tests/ in it.

    Two spaces before a name: it lies in the folder above.
    """
    page = (DOCS / "architecture.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    found = next((b for b in blocks if re.search(r"^conf/", b, re.M) and re.search(r"^tests/", b, re.M)), None)
    assert found, "architecture.md has no file tree"
    names, folder = list[str](), ""
    for line in (line for line in found.splitlines() if line.strip()):
        folder = folder if line.startswith(" ") else line.split()[0]
        names.append(folder + line.split()[0] if line.startswith(" ") else folder)
    return {name: ROOT / name for name in names}


def on_disk(path: Path) -> Path:
    """A module of the package is named without its suffix, whether it is a file or a folder."""
    return path if path.exists() else path.with_suffix(".py")


def git(*arguments: str) -> str:
    """What git answers here; skips where this is no checkout."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode > 1:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    return done.stdout


def test_the_tree_names_files_that_exist() -> None:
    """Folders that git ignores may not be there yet: outputs/ is made by the first run."""
    found = {name: on_disk(path) for name, path in tree().items()}
    missing = [name for name, path in found.items() if not path.exists()]
    assert [name for name in missing if not git("check-ignore", name)] == []
    assert [name for name, path in found.items() if name.endswith("/") and path.exists() and not path.is_dir()] == []


def test_the_tree_names_every_top_level_file() -> None:
    """All that git tracks, hidden files left out as `ls` does."""
    tracked = {name.split("/")[0] for name in git("ls-files").splitlines()}
    named = {name.split("/")[0] for name in tree()}
    assert sorted(name for name in tracked - named if not name.startswith(".")) == []


def test_the_tree_names_every_room_of_the_package_and_no_other() -> None:
    rooms = {Path(name.split("/")[1]).stem for name in git("ls-files", "ral").splitlines()} - {"__init__"}
    assert {Path(name).stem for name in tree() if name.startswith("ral/") and name != "ral/"} == rooms


# ---------------------------------------------------------------------------------------- the formulas of method.md


def rows_of(logits: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Eq. 2 for one query: logits [H K] -> p [K]."""
    return renormalise(torch.softmax(logits, -1).mean(0), kept)


@pytest.mark.parametrize("heads", [1, 3])
def test_the_gradient_in_method_md_is_that_of_autograd(heads: int) -> None:
    """dJ/de_{h,i} = s_{h,i} / (H m) (c_i - sum_{j in K} s_{h,j} c_j), c_j = g_j - sum_i p_i g_i on K, else 0."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(heads, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    kept = torch.tensor([True] * 5 + [False])  # the last position is the token's own
    anchor = rows_of(torch.randn(heads, 6, generator=generator, dtype=torch.float64), kept)
    (found,) = torch.autograd.grad(jsd(rows_of(logits, kept), anchor), logits)

    s = torch.softmax(logits.detach(), -1)
    a = s.mean(0)
    m = a[kept].sum()
    p = torch.where(kept, a / m, 0.0)
    g = torch.where(kept, torch.log(2 * p / (p + anchor)) / 2, 0.0)
    c = torch.where(kept, g - (p * g).sum(), 0.0)
    expected = s / (heads * m) * (c - (s * c).sum(-1, keepdim=True))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    assert (expected[:, -1].abs().max() < 1e-15) == (heads == 1)
    if heads == 1:
        torch.testing.assert_close(expected[0], p * (g - (p * g).sum()), rtol=1e-10, atol=1e-14)


def test_the_expansion_in_method_md_holds_near_the_anchor() -> None:
    """D ~ 1/8 sum delta^2 / q, and the gradient in the logits of one softmax ~ delta / 4."""
    q = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    delta = 1e-4 * torch.tensor([1.0, -3.0, 2.0], dtype=torch.float64)
    logits = (q + delta).log().requires_grad_()
    value = jsd(torch.softmax(logits, -1), q)
    (gradient,) = torch.autograd.grad(value, logits)
    torch.testing.assert_close(value.detach(), (delta**2 / q).sum() / 8, rtol=1e-3, atol=0)
    torch.testing.assert_close(gradient, delta / 4, rtol=2e-3, atol=0)


def test_every_term_has_a_place_in_the_paper_map() -> None:
    """Each term that an algorithm in conf/algo sums, but SFT's, is in docs/paper_map.md."""
    page = (DOCS / "paper_map.md").read_text()
    for name, algo in algorithms().items():
        for term in algo["objective"]:
            assert name == "sft" or algo[term]["_target_"] in page, f"{name}: {term}"
