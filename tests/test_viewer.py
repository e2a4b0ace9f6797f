"""The viewer of attention: rows by head, bytes of the page, and the page in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import train_in
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ral.config.cli import literal
from ral.evaluation.looks import attention_of_tokens, grounding_in
from ral.evaluation.token_rows import row_choices, token_rows
from ral.files import jsonl
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.ops.attention import AttentionSpec
from ral.report.token_maps import FULL, LEVELS, SHARES, UNKNOWN, common, expected_bytes, packed, two_bytes
from ral.report.viewer import Answer, ViewedSample, content_of, render_viewer, size_note, write_viewer
from ral.rollout.given import written
from ral.types import Evidence, Example, Media, Pixels, RowChoice, TokenRows, UserError
from ral.viewing.pages import ask, fitting, view_run, without_end
from ral.viewing.questions import Question

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
HOSTILE = '</script><img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def policy(model_folder: Callable[..., Path]) -> MLLM:
    return load(str(model_folder()), trained=False)


@pytest.fixture(scope="module")
def question() -> Question:
    random = np.random.default_rng(0)
    frames = torch.from_numpy(random.integers(0, 255, (1, 112, 112, 3), dtype=np.uint8))
    example = Example(
        "a", "What is it?", "red", "free-form", (Media("image", Path("a.png")),), evidence=(Evidence((0, 0, 0.5, 0.5)),)
    )
    return Question(example, example.question, (Pixels("image", frames, 0.0),), 6)


def of_answer(policy: MLLM, question: Question, choice: RowChoice) -> TokenRows:
    asked = ask(policy, question)
    (rows,) = token_rows(policy, asked.prepared, asked.rollout, choice)
    assert rows is not None
    return rows


# --- rows


def test_rows_of_heads_are_those_that_the_spec_names(policy: MLLM, question: Question) -> None:
    asked = ask(policy, question)
    view = View(policy, asked.prepared)

    def capture(heads: Any) -> torch.Tensor:
        spec = AttentionSpec(layers=(0, -1), heads=heads, query="previous")
        found = Forward(1.0, spec).states(view, asked.rollout, attention=True).attention
        return found if heads == "mean" else found.rows()  # type: ignore[union-attr,return-value]

    whole: Any = capture("mean")
    count = policy.network.config.get_text_config().num_attention_heads
    single = [whole.of_head(head).rows() for head in range(count)]
    for head, rows in enumerate(single):
        assert torch.equal(rows, capture([head]))
    assert torch.allclose(torch.stack(single).mean(0), whole.rows(), atol=1e-6)


def test_a_token_s_rows_are_what_grounding_is_measured_by(policy: MLLM, question: Question) -> None:
    (choice, *_) = row_choices(policy, ("previous", "self"))
    asked = ask(policy, question)
    (found,) = token_rows(policy, asked.prepared, asked.rollout, choice)
    assert found is not None and found.inside is not None
    spec = AttentionSpec(layers=(policy.depth - 1,), query="self")
    attention = Forward(1.0, spec).states(View(policy, asked.prepared), asked.rollout, attention=True).attention
    rows = attention.rows().mean(0)[0, :, : asked.prepared.valid.shape[1]]  # type: ignore[union-attr]
    for n in range(len(found.tokens)):
        look = attention_of_tokens(asked.rollout, rows, 0, [k == n for k in range(len(found.tokens))])
        own = found.weights[1, -1, 0, n]
        assert look is not None
        assert np.allclose(own / own.sum(), look["weights"], atol=1e-6)
        assert float(own[found.inside].sum() / own.sum()) == pytest.approx(
            grounding_in(question.example.evidence, look), abs=1e-5
        )
    assert "".join(found.tokens).removesuffix("<end>") == asked.rollout.texts[0]


def test_an_answer_that_was_cut_gets_no_end(policy: MLLM, question: Question) -> None:
    prepared = policy.prepare(policy.processor.batch([question.example], [question.text], [question.media]))
    whole = written(policy.processor, prepared, ["the star"])
    cut = without_end(whole)
    assert int(cut.trainable.sum()) == int(whole.trainable.sum()) - 1
    said = Question(question.example, question.text, question.media, 6, said=("the star", False))
    assert torch.equal(ask(policy, said).rollout.trainable, cut.trainable)


def test_what_fits_is_kept_and_what_does_not_is_refused(policy: MLLM) -> None:
    choices = row_choices(policy, ("previous",))
    rows = [choice.rows for choice in choices]
    assert rows == sorted(rows, reverse=True) and choices[-1].layers == (policy.depth - 1,) and choices[-1].heads == 0
    sizes = [(20, 1000)]
    assert fitting(choices, sizes, 1e9) is choices[0]
    assert fitting(choices, sizes, expected_bytes(choices[-1], sizes)) == choices[-1]
    with pytest.raises(UserError, match=r"max_mb: .* write a larger max_mb"):
        fitting(choices, sizes, 1.0)
    with pytest.raises(UserError, match=r"layers: 99 has no rows of attention; write some of 0, "):
        row_choices(policy, ("previous",), [99])
    assert row_choices(policy, ("previous",), [-1])[0].layers == (policy.depth - 1,)


# --- bytes


def made_rows(tokens: int = 3, grid: tuple[int, int, int] = (2, 2, 2), heads: int = 2, layers: int = 2) -> TokenRows:
    random = torch.Generator().manual_seed(0)
    choice = RowChoice(("previous", "self"), tuple(range(layers)), heads)
    cells = grid[0] * grid[1] * grid[2]
    weights = torch.rand(2, layers, 1 + heads, tokens, cells, generator=random) / cells
    inside = torch.zeros(cells, dtype=torch.bool)
    inside[:2] = True
    texts = ("red", " star", "<end>")[:tokens]
    return TokenRows(choice, texts, (False, True, False)[:tokens], grid, 2.0, weights, inside)


def test_bytes_give_the_rows_back() -> None:
    rows = made_rows()
    data = packed(rows, RowChoice(("previous", "self"), (1,), 0), [1])
    count = 2 * 1 * 1 * 3
    shares = np.frombuffer(data[: count * SHARES * 2], "<u2").reshape(2, 3, SHARES) / FULL
    cells = np.frombuffer(data[count * SHARES * 2 :], np.uint8).reshape(2, 3, 4)
    expected = rows.weights.numpy()[:, 1, 0]
    within = expected / expected.sum(-1, keepdims=True)
    assert np.allclose(shares[..., 0], expected.sum(-1), atol=1e-4)
    assert np.allclose(shares[..., 1], within[..., 4:].max(-1), atol=1e-4)
    assert np.allclose(shares[..., 2], within[..., :2].sum(-1), atol=1e-4)
    assert np.allclose(shares[..., 1:2] * (cells / LEVELS) ** 2, within[..., 4:], atol=4e-3)
    assert two_bytes(np.array([np.nan, 0.0, 1.0])).tolist() == [UNKNOWN, 0, FULL]


def test_what_two_models_have_in_common_is_shown() -> None:
    whole, thin = RowChoice(("self",), (0, 1, 2, 3), 4), RowChoice(("self",), (1, 3), 0)
    assert common([whole, thin]) == thin and common([whole, whole]) == whole


# --- the page


def sample(
    uid: str, names: tuple[str, ...] = ("before", "after"), clip: bool = False, text: str = "red"
) -> ViewedSample:
    frames = torch.full((4 if clip else 1, 64, 64, 3), 120, dtype=torch.uint8)
    kind = "video" if clip else "image"
    span = (0.0, 2.0) if clip else None
    evidence = (Evidence((0.0, 0.0, 0.5, 1.0), span),)
    example = Example(uid, text, "red", "OCR", (Media(kind, Path("x")),), evidence=evidence)  # type: ignore[arg-type]
    rows = made_rows(grid=(2, 2, 2) if clip else (1, 2, 2))
    answers = tuple(Answer(name, "red star", ("✓", "right"), rows) for name in names)
    return ViewedSample(example, Pixels(kind, frames, 1.0 if clip else 0.0), answers)  # type: ignore[arg-type]


def test_the_page_fetches_nothing_and_escapes_everything(tmp_path: Path) -> None:
    html = render_viewer([sample("a", text=HOSTILE), sample("b", clip=True)], {"run": HOSTILE})
    assert HOSTILE not in html and html.count("</script>") == 3
    addresses = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html)
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "default-src 'none'" in html and "http" not in html.replace("http-equiv", "")
    index = json.loads(re.search(r'id="index">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    assert index["samples"][0]["question"] == HOSTILE and len(index["samples"][1]["frames"]) == 2
    blob = zlib.decompress(base64.b64decode(re.search(r'id="rows">(.*?)</script>', html, re.S)[1]))  # type: ignore[index]
    assert blob == content_of([sample("a"), sample("b", clip=True)])[1]


def test_a_page_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to show"):
        write_viewer(tmp_path / "explore.html", [], {"run": "x"})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium of this machine, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install '.[dev]' brings playwright")
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened_page(browser: Any, path: Path, width: int) -> Any:
    """The page with a list of what went wrong on it."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"file://{path}")
    page.wait_for_selector("#viewer:not([hidden])")
    return SimpleNamespace(page=page, troubles=troubles)


def said(page: Any) -> str:
    return str(page.inner_text("#readout"))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_chosen_tokens_layers_and_heads(browser: Any, tmp_path: Path, width: int) -> None:
    rows, samples = made_rows(grid=(1, 2, 2)), [sample("a", text=HOSTILE), sample("b", clip=True)]
    path = write_viewer(tmp_path / "explore.html", samples, {"run": "x"})
    assert re.fullmatch(
        r"2 samples: rows of \d layers? \([-\d, ]+\) with .*heads.*; 0\.\d MB", size_note(path, samples)
    )
    opened = opened_page(browser, path, width)
    page = opened.page

    def share(query: int, layer: int, head: int, token: int) -> str:
        own = rows.weights[query, layer, head, token].numpy()
        return f"{100 * own[:2].sum() / own.sum():.1f}% of its attention to the picture lies on the evidence"

    page.click("#answers .side:nth-child(1) .tokens button:nth-child(1)")
    assert "before, “red”" in said(page) and share(0, 1, 0, 0) in said(page) and "chance 50.0%" in said(page)
    page.keyboard.press("ArrowRight")
    assert "after, “star”" in said(page) and share(0, 1, 0, 1) in said(page)  # the same token of both answers
    page.keyboard.press("ArrowUp")
    assert share(0, 0, 0, 1) in said(page) and page.input_value("#layer") == "0"
    page.keyboard.press("h")
    assert share(0, 0, 1, 1) in said(page)
    page.keyboard.press("r")
    assert share(1, 0, 1, 1) in said(page)
    page.select_option("#head", "2")
    assert share(1, 0, 2, 1) in said(page)
    page.click("#matrices .side:nth-child(2) [data-layer='1'][data-head='0']")
    assert share(1, 1, 0, 1) in said(page)
    page.click("#average")
    assert "all tokens" in said(page)
    page.keyboard.press("a")
    if width == 1280:
        page.hover("#answers .side:nth-child(1) .tokens button:nth-child(3)")
        assert share(1, 1, 0, 2) in said(page)
    page.keyboard.press("n")
    assert "clip" in said(page) and page.url.endswith("#b") and page.inner_text("#pictures td >> nth=0") == "0-2 s"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.activeElement.getAttribute('role')") in ("option", None)
    assert not opened.troubles and page.title() != "1"


def test_a_browser_colours_the_cell_that_is_looked_at(browser: Any, tmp_path: Path) -> None:
    rows = made_rows(tokens=1, grid=(1, 2, 2), heads=0, layers=1)
    rows.weights[:] = torch.tensor([0.0, 0.0, 0.0, 0.4])
    one = sample("a", names=("answer",))
    shown = ViewedSample(one.example, one.pixels, (Answer("answer", "red", None, rows),))
    opened = opened_page(browser, write_viewer(tmp_path / "explore.html", [shown], {"model": "x"}), 390)
    script = """() => [...document.querySelector("#pictures canvas").getContext("2d").getImageData(0, 0, 2, 2).data]"""
    opacity = opened.page.evaluate(script)[3::4]
    assert opacity[:3] == [0, 0, 0] and opacity[3] > 200
    assert opened.page.inner_text("#peak") == "100.0%" and "40.0% of all its attention" in said(opened.page)
    assert opened.troubles == []


# --- the command, and a run


def test_a_question_of_one_s_own_stays_as_it_is_written() -> None:
    for text in ('What\'s "it", {a} or [b]? $5', "${hydra.run.dir}", "C:\\\\", '\\\\"', ""):
        given = ["x.py", f"question={text}", "limit=2", 'question="said"']
        quoted = literal(given, ("question",))
        assert quoted[0] == "x.py" and quoted[2:] == given[2:]
        (parsed,) = OverridesParser.create().parse_overrides([quoted[1]])
        assert OmegaConf.create({"question": parsed.value()}).question == text


def test_a_run_s_page_holds_its_report_s_samples(small: list[str], tmp_path: Path) -> None:
    wanted = [*(o for o in small if o != "viewer=false"), "max_steps=1", "algo=grpo"]
    folder = train_in(tmp_path / "run", *wanted)
    html = (folder / "explore.html").read_text()
    index = json.loads(re.search(r'id="index">(.*?)</script>', html, re.S)[1])  # type: ignore[index]
    answers = {
        side: {r["uid"]: r for r in jsonl.readable(folder / "eval" / f"{side}.jsonl")} for side in ("before", "after")
    }
    for shown in index["samples"]:
        for answer in shown["answers"]:
            record = answers[answer["name"]][shown["uid"]]
            assert "".join(answer["tokens"]).removesuffix("<end>") == record["response"]
            assert (answer["tokens"][-1] == "<end>") == record["finished"]
    report = (folder / "report.html").read_text()
    assert all(f'href="explore.html#{shown["uid"]}"' in report for shown in index["samples"])
    with pytest.raises(UserError, match="it has no hf/"):
        shutil.rmtree(folder / "hf")
        view_run(folder)
