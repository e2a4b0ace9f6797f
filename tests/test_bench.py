"""The bench scripts: summaries and tables of given figures, and this project's worker on a very small model."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import load_script
from PIL import Image

from ral.benches import measure, media, rollout, rollout_worker, vs_trl, work
from ral.benches.trl_rollouts import trl_step
from ral.checks import gpu
from ral.files.markdown import table
from ral.models.mllm import MLLM
from ral.models.recipe import Sizes
from ral.rollout.vllm.pixels import frames_of
from ral.types import UserError

SMALLEST = Sizes(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vision_hidden=32, vision_depth=2, vision_heads=2)
SCRIPTS = Path(__file__).parents[1] / "scripts"


def replies(*seconds: float, peak: float = 1.0) -> list[dict[str, Any]]:
    """What a worker answers; twice as much wall as processor time."""
    return [{"seconds": s, "cpu_seconds": s / 2, "peak_gb": peak, "facts": {}} for s in seconds]


def test_ratios_are_taken_pair_by_pair() -> None:
    """Pairs 4/1, 6/3, 9/3: the ratio of the medians (6/3) is another number than the median ratio (3)."""
    found = measure.compare(replies(1, 3, 3, peak=0.5), replies(4, 6, 9, peak=2.0))
    assert found["ratio"] == found["cpu_ratio"] == {"min": 2.0, "median": 3.0, "max": 4.0}
    assert found["memory_ratio"] == 0.25
    assert found["theirs"] == {
        "seconds": {"min": 4, "median": 6, "max": 9},
        "cpu_seconds": {"min": 2, "median": 3, "max": 4.5},
        "peak_gb": 2.0,
    }


def test_markdown_table() -> None:
    assert table(("a", "b"), [(1, measure.range_text({"min": 1, "median": 2, "max": 3.456}))], left=0) == (
        "| a | b |\n| ---: | ---: |\n| 1 | 2.00 (1.00 to 3.46) |\n"
    )


def test_workers_take_turns_and_warm_up_does_not_count() -> None:
    asked: list[str] = []

    def worker(name: str) -> SimpleNamespace:
        def ask(request: str) -> dict[str, int]:
            asked.append(name if request == "step" else request)
            return {"step": asked.count(name)}

        return SimpleNamespace(ask=ask)

    found = measure.in_turn({"a": worker("a"), "b": worker("b")}, 1, 2, lambda: None)
    assert asked == ["a", "b", "reset", "b", "reset", "a", "a", "b"]
    assert found == {name: [{"step": 2}, {"step": 3}] for name in "ab"}


def test_unequal_work_is_an_error() -> None:
    spec = {"prompts": 1, "group_size": 8, "response_tokens": 4, "steps": 3, "updates": 2}
    facts = dict.fromkeys(vs_trl.SAME, "same") | {"response_tokens": 32, "updates": 6}
    vs_trl.check_fair(spec, facts, dict(facts))
    with pytest.raises(UserError, match="prompt_tokens: same against 9"):
        vs_trl.check_fair(spec, facts, facts | {"prompt_tokens": 9})
    with pytest.raises(UserError, match="response_tokens: 31, asked for 32"):
        vs_trl.check_fair(spec, facts | {"response_tokens": 31}, facts | {"response_tokens": 31})


@pytest.mark.parametrize("text", ["", "64,", "0", "a"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--prompt-tokens"):
        work.sizes_of(text)


@pytest.mark.parametrize("tokens", [1, 6, 64, 7])
def test_pictures_have_the_asked_number_of_visual_tokens(tmp_path: Path, tokens: int) -> None:
    folder = work.write_data(tmp_path, tokens, 2)
    for number in range(2):
        with Image.open(folder / f"{number}.png") as picture:
            assert math.prod(picture.size) == tokens * 28 * 28 and not any(side % 28 for side in picture.size)
    assert (folder / "0.png").read_bytes() != (folder / "1.png").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["all", "plain", "prefill once"])
def test_our_worker_takes_whole_steps(variant: str, tmp_path: Path) -> None:
    """Two steps of the command line itself, of the lengths and updates asked for, on pictures of 6 visual tokens."""
    small = Sizes(hidden=64, layers=1, heads=2, kv_heads=1, mlp=64, vision_hidden=32, vision_depth=1, vision_heads=2)
    model = work.write_bench_model(tmp_path / "model", small, 300)
    given = SimpleNamespace(prompts=2, group_size=2, response_tokens=3, updates=2, repeats=0, threads=1)
    spec = vs_trl.specification(given, model, work.write_data(tmp_path / "data", 6, 7))
    spec |= {"run": str(tmp_path / "run"), "variant": variant}
    worker = measure.Worker(Path(sys.executable), "ral.benches.ral_worker", spec, tmp_path / "log.txt", threads=1)
    try:
        one, reset, two = (worker.ask(request) for request in ("step", "reset", "step"))
    finally:
        worker.close()
    assert set(reset) == {"reset"}
    assert [r["facts"]["updates"] for r in (one, two)] == [2, 4]
    assert two["facts"]["response_tokens"] == 2 * 2 * 3
    assert two["facts"]["prompt_tokens"] > 2 * 6
    assert len(two["facts"]["malloc"]) == 3
    assert two["facts"]["threads"] == 1
    assert 0 < two["facts"]["times"]["time/step_s"] <= two["seconds"]
    assert 0 < two["seconds"] < 60 and 0 < two["peak_gb"] < 10


def test_a_dead_worker_is_one_line(tmp_path: Path) -> None:
    worker = measure.Worker(Path(sys.executable), "ral.benches.no_such_worker", {}, tmp_path / "log.txt", threads=1)
    with pytest.raises(UserError, match=r"its last words: .*No module named ral\.benches\.no_such_worker"):
        worker.ask("step")
    worker.close()


def test_an_error_ends_the_command_with_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_vs_trl.py", "--prompt-tokens", "x", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="error: --prompt-tokens x: write numbers from 1 to 16384 such as 64,256,1024"):
        load_script("bench_vs_trl").main()


# --- media


def test_media_are_read_by_all_sides_and_the_last_line_is_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"CLIP_SIDES": (112, 56), "CLIP_SECONDS": 4, "CLIP_FPS": 2}.items():
        monkeypatch.setattr(media, name, value)
    monkeypatch.setattr(media, "PICTURE_SIDES", (112, 84))
    monkeypatch.setattr(media, "MADE", 2)
    monkeypatch.setattr(
        sys, "argv", ["bench_media.py", "--repeats", "2", "--output", str(tmp_path), "--group-size", "8"]
    )
    load_script("bench_media").main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"ral", "decord alone, frames not resized"} < set(result["clips"])
    assert set(result["pictures"]) == {"ral", "Transformers"}
    for side in (*result["clips"].values(), *result["pictures"].values()):
        assert all(0 < side[key]["min"] <= side[key]["max"] for key in ("a_second", "a_cpu_second", "cpu_ratio"))
    assert result["settings"]["files"] == {"clips": 2, "pictures": 2}
    assert "| pictures |" in (tmp_path / "media.md").read_text()


def test_media_sides_take_turns_and_the_warm_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clock by hand: side a takes 1 s a file (9 s in the first round), side b 4 s."""
    now, asked = [0.0], list[str]()

    def side(name: str, seconds: float) -> Any:
        def read(path: Path) -> None:
            asked.append(name)
            now[0] += 9.0 if len(asked) <= 4 else seconds

        return read

    monkeypatch.setattr(media, "clocks", lambda: np.array([now[0], 2 * now[0]]))
    found = media.measure({"a": side("a", 1.0), "b": side("b", 4.0)}, [Path("1"), Path("2")], 2, lambda: None)
    assert "".join(asked) == "baab" * 3
    assert found["a"]["a_second"] == {"min": 1.0, "median": 1.0, "max": 1.0}
    assert found["a"]["a_cpu_second"]["median"] == 0.5 and found["b"]["a_second"]["median"] == 0.25
    assert found["a"]["cpu_ratio"]["median"] == 4.0 and found["b"]["cpu_ratio"]["max"] == 1.0


def test_the_clock_counts_children() -> None:
    before = media.clocks()
    child = subprocess.Popen([sys.executable, "-c", "n = 0\nwhile True: n += 1"])
    try:
        while media.clocks()[1] - before[1] < 0.2:
            time.sleep(0.05)
            assert media.clocks()[0] - before[0] < 30
    finally:
        child.kill()
        child.wait()


def test_an_empty_folder_of_media_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    folders = ["--clips", str(tmp_path / "none"), "--pictures", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bench_media.py", *folders, "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"error: --clips .*none: no files there; name a folder of clips"):
        load_script("bench_media").main()


@pytest.mark.slow
def test_variants_of_the_native_engine_beside_generate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One after the other, from fp32 weights under bf16; each says what share of the memory's bandwidth it used."""
    monkeypatch.setitem(rollout.MODELS, "3b", SMALLEST)
    engines = ["native", "native_casts", "native_steps", "native_fixed", "hf"]
    work = ["--prompts=1", "--group-size=2", "--response-tokens=3", "--repeats=2", "--prompt-tokens=4", "--model=3b"]
    given = [f"--engines={','.join(engines)}", "--dtype=bfloat16", "--trained", "--apart", *work]
    monkeypatch.setattr(sys, "argv", ["bench_rollout.py", *given, f"--output={tmp_path}"])
    load_script("bench_rollout").main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["sizes"]["4"]
    assert list(found) == engines and {f["tokens"] for f in found.values()} == {6}
    assert found["native"]["ratio"] == {"min": 1, "median": 1, "max": 1}
    assert all(0 < f["bandwidth_share"]["median"] < 1 and f["peak_gb"] > 0 for f in found.values())


@pytest.mark.slow
def test_methods_are_measured_against_grpo_at_several_sizes(tmp_path: Path) -> None:
    """PAPO, which makes a second pass in every update, costs more; every side has evidence and runs twice."""
    small = ["--prompt-tokens", "64,256", "--response-tokens", "8", "--group-size", "2", "--repeats", "2"]
    command = [sys.executable, str(SCRIPTS / "bench_methods.py"), "--algorithms", "papo,ease", *small]
    done = subprocess.run([*command, f"--output={tmp_path}"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["sizes"]
    assert list(found) == ["64", "256"] and list(found["64"]) == ["papo", "ease"]
    assert found["256"]["papo"]["cpu_ratio"]["median"] > 1.3
    entries = [json.loads(line) for line in next(tmp_path.glob("data_*/256/data.jsonl")).read_text().splitlines()]
    assert all(entry["evidence"] == [{"box": [0.25, 0.25, 0.5, 0.5]}] for entry in entries)


def test_an_engines_own_process_counts() -> None:
    """Tokens a processor second, and the ratio to the first engine, have both processes."""

    def steps(seconds: float, own: float) -> list[dict[str, Any]]:
        facts = {"tokens": 12, "engine_cpu_seconds": own, "bytes_read": 1, "bytes_per_second": 1}
        return [{"seconds": 2.0, "cpu_seconds": seconds, "peak_gb": 1.0, "facts": facts}] * 2

    one, two = steps(3.0, 0.0), steps(1.0, 5.0)
    assert rollout.against(two, one)["cpu_ratio"]["median"] == 0.5
    assert rollout.figures(two)["tokens_per_processor_second"]["median"] == 2.0


def test_engines_that_are_none() -> None:
    with pytest.raises(UserError, match=r"^--engines native,nativ: write some of native,vllm,hf,trl_vllm,native_"):
        rollout.engines_of("native,nativ")


def test_trl_without_trl_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without vLLM, which it asks."""
    with monkeypatch.context() as patched:
        patched.setattr(rollout.importlib.util, "find_spec", lambda name: None if name == "trl" else name)
        with pytest.raises(
            UserError, match=r"^--engines: trl is not installed here: write \S+ -m pip install .*trl==1"
        ):
            rollout.engines_of("native,trl_vllm")
        assert rollout.engines_of(None) == ["native", "vllm", "hf"]
    monkeypatch.setattr(rollout.importlib.util, "find_spec", lambda name: None if name == "vllm" else name)
    with pytest.raises(UserError, match=r"^--engines: vllm is not installed here: make vllm"):
        rollout.engines_of("native,trl_vllm")


def test_trl_is_asked_for_the_same_work(
    load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One placeholder a picture, the very pictures, each prompt G times, full length, the dtype asked for."""
    made: dict[str, Any] = {}

    class Sampler:
        """TRL's class; "vLLM" reads what `read` makes of the ids."""

        def __init__(self, **settings: Any) -> None:
            made.update(settings, llm=stand_in.LLM())

        def generate(self, ids: list[list[int]], images: list[list[Any]], count: int) -> tuple[Any, ...]:
            made.update(asked=ids, images=images, count=count)
            return [read(row) for row in ids], [[7] * made["max_completion_length"] for _ in ids], None, None

    stand_in = ModuleType("trl.generation.vllm_generation")
    stand_in.LLM, stand_in.VLLMGeneration = dict, Sampler  # type: ignore[attr-defined]
    package = ModuleType("trl.generation")
    package.vllm_generation = stand_in  # type: ignore[attr-defined]
    for each in (package, stand_in):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    policy = load()
    sizes = {"prompts": 2, "group_size": 3, "response_tokens": 5, "prompt_tokens": 4, "temperature": 0.9}
    spec = sizes | {"dtype": "float32", "device": "cpu", "cache_gb": 0.4}
    step, prompts = trl_step(policy, spec), rollout_worker.prompts_of(policy, spec, 3)
    placeholder, whole = policy.network.config.image_token_id, prompts.token_ids[0].tolist()
    at, runs = whole.index(placeholder), whole.count(placeholder)
    read = lambda row: [*row[:at], *[placeholder] * runs, *row[at + 1 :]]  # noqa: E731
    assert step(prompts, 3) == 2 * 3 * 5 and runs > 1
    assert made["llm"] == {"dtype": "float32"} and made["generation_kwargs"] == {"min_tokens": 5, "ignore_eos": True}
    assert made["max_num_seqs"] == 6 and made["count"] == 3 and os.environ["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert made["asked"] == [whole[: at + 1] + whole[at + runs :]] * 6
    shown = [frames_of(prompts.media, "image", policy.processor.patches)[each][0] for each in (0, 0, 0, 1, 1, 1)]
    assert all(np.array_equal(image, frames) for (image,), frames in zip(made["images"], shown, strict=True))
    assert not torch.equal(shown[0], shown[-1])
    read = list
    with pytest.raises(UserError, match=r"^trl_vllm: vLLM reads other ids than the prompt's$"):
        step(prompts, 3)


@pytest.mark.slow
def test_what_wants_a_gpu_runs_without_one_too(tmp_path: Path) -> None:
    """The runs of scripts/gpu_check.py on the CPU; without a GPU and without being told so it says what to write."""
    command = [sys.executable, str(SCRIPTS / "gpu_check.py"), "--output", str(tmp_path)]
    small = ["--parts", "tiny", "3b", "--hardware", "cpu", "--shape", "small", "--prompt-tokens", "64", "--steps", "1"]
    done = subprocess.run([*command, *small], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [found[p][n]["exit_code"] for p, n in (("tiny", "ral"), ("3b", "lora"), ("3b", "full"))] == [0, 0, 0]
    assert found["3b"]["lora"]["step_s"] > 0 and found["tiny"]["ral"]["accuracy"][0] == pytest.approx(0.184, abs=1e-3)
    assert found == json.loads((tmp_path / "gpu_check.json").read_text())


def test_a_run_that_takes_too_long_is_stopped_and_one_that_fails_is_named(tmp_path: Path) -> None:
    given = SimpleNamespace(timeout=1.0, output=tmp_path)
    slow = gpu.timed(given, tmp_path / "slow.log", "-c", "import time; print('on', flush=True); time.sleep(60)")
    assert slow["exit_code"] == 124 and slow["seconds"] < 30
    failed = gpu.timed(given, tmp_path / "failed.log", "-c", "raise SystemExit(3)")
    assert failed["exit_code"] == 3 and failed["command"] == "python -c 'raise SystemExit(3)'"


@pytest.mark.slow
def test_a_benchmarks_result_is_read_back_and_its_model_deleted(tmp_path: Path) -> None:
    given = SimpleNamespace(timeout=250.0, output=tmp_path)
    small = gpu.sized("small", "64", "--repeats", "1", "--response-tokens", "8", "--variants", "plain,all")
    found = gpu.bench(given, "step", "bench_step.py", *small)
    assert found["exit_code"] == 0 and found["result"]["ratio"]["median"] > 0
    assert (tmp_path / "step.log").read_text() and not list(tmp_path.glob("**/*.safetensors"))
