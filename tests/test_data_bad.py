"""Bad entries: counted, listed once, replaced by the same ones in every run; too many of them are one error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ral.assembly.data import scorable
from ral.data.bad import Bad, BadSample, EntryRecord, Ledger
from ral.data.media import MediaReader
from ral.data.order import LONGEST_RUN, Epochs, HeldOut, StepSampler, Training
from ral.data.samples import Samples
from ral.data.sizes import MediaSettings
from ral.evaluation.records import evaluation_means
from ral.learner.collate import Batch, Collate
from ral.lit.datamodule import Evaluation, PromptData, Steps, crowded, short
from ral.models.mllm import MLLM
from ral.types import Example, UserError
from ral.worlds.draw import write_frames

ROOT = Path(__file__).parents[1]


def bad(index: int, reason: str = "no such file") -> Bad:
    return Bad(index, 100 + index, f"./{index}.png", reason, f"data.json: entry {index + 1}: {reason}; mend it")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- the ledger


def test_each_bad_entry_is_listed_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "bad.jsonl", 1.0)
    assert lines(tmp_path / "bad.jsonl") == []
    ledger.add("train", 100, 8, [bad(3), bad(5, "é")])
    ledger.add("train", 100, 8, [bad(5), bad(7)])
    ledger.add("validation", 100, 8, [bad(5)])  # of another file, perhaps
    assert ledger.skipped == 4
    found = lines(tmp_path / "bad.jsonl")
    assert found[0] == {"index": 3, "problem_id": 103, "path": "./3.png", "reason": "no such file", "remedy": ""}
    assert [line["index"] for line in found] == [3, 5, 7, 5] and found[1]["reason"] == "é"


def test_too_many_are_an_error_after_enough_draws() -> None:
    ledger = Ledger(None, 0.05)
    ledger.add("train", 1000, 19, [bad(1), bad(2)])  # too early to say
    with pytest.raises(
        UserError,
        match=r"3 of the 20 train entries drawn so far cannot be used, above .*=0.05; .*: data.json: entry 4: ",
    ):
        ledger.add("train", 1000, 1, [bad(3)])
    ledger = Ledger(None, 0.05)
    ledger.add("train", 1000, 20, [bad(1)])  # exactly the share
    ledger.add("train", 1000, 19, [])
    with pytest.raises(UserError, match="3 of the 40 train"):
        ledger.add("train", 1000, 1, [bad(2), bad(3)])


def test_a_small_split_is_judged_when_it_was_drawn_once() -> None:
    ledger = Ledger(None, 0.05)
    ledger.add("train", 5, 4, [bad(1)])
    with pytest.raises(UserError, match="1 of the 5 train") as caught:
        Ledger(None, 0.05).add("train", 5, 5, [bad(1)])
    assert "listed in" not in str(caught.value)


def test_zero_makes_the_first_one_an_error() -> None:
    Ledger(None, 0.0).add("train", 1000, 8, [])
    with pytest.raises(UserError) as caught:
        Ledger(None, 0.0).add("train", 1000, 8, [bad(1), bad(2)])
    assert str(caught.value) == "data.json: entry 2: no such file; mend it"


def test_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    """What was met after the checkpoint is forgotten, so that the resumed run meets it again."""
    first = Ledger(tmp_path / "a.jsonl", 0.5)
    first.add("train", 1000, 8, [bad(3)])
    torch.save(first.record.facts(), tmp_path / "state.pt")
    first.add("train", 1000, 8, [bad(5)])
    second = Ledger(tmp_path / "a.jsonl", 0.5, EntryRecord.of(torch.load(tmp_path / "state.pt", weights_only=True)))
    assert second.skipped == 1 and [line["index"] for line in lines(tmp_path / "a.jsonl")] == [3]
    second.add("train", 1000, 8, [bad(3), bad(5)])
    assert second.record.counts == {"train": (16, 3)} and second.record.listed == first.record.listed


# --- stand-ins


class Numbered:
    """Examples 0..length-1, of which those in `broken` raise BadSample."""

    def __init__(self, length: int, broken: set[int]) -> None:
        self.length, self.broken = length, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, at: int) -> Example:
        return Example(str(at), "q", "a", "free-form", source=f"entry {at}")


def draw(length: int, broken: set[int], places: list[int], size: int, seed: int = 0) -> list[tuple[str, list[int]]]:
    """(uid that was drawn, positions of the bad ones before it) for each place."""

    def check(example: Example) -> None:
        if int(example.uid) in broken:
            raise BadSample("here", "broken", "mend")

    candidates = Training(Epochs(length, seed), size)
    samples = Samples(Numbered(length, broken), MediaReader(MediaSettings()), check, candidates)  # type: ignore[arg-type]
    drawn = [samples[place] for place in places]
    return [(d.sample.example.uid if d.sample else "", [b.index for b in d.bad]) for d in drawn]


def test_an_epoch_visits_every_entry_once() -> None:
    epochs = Epochs(10, seed=3)
    assert sorted(epochs[p] for p in range(10)) == sorted(epochs[p] for p in range(10, 20)) == list(range(10))
    assert [epochs[p] for p in range(10)] != [epochs[p] for p in range(10, 20)]
    assert [epochs[p] for p in range(95, 0, -7)] == [Epochs(10, seed=3)[p] for p in range(95, 0, -7)]
    assert [epochs[p] for p in range(10)] != [Epochs(10, seed=4)[p] for p in range(10)]


def test_ranks_share_a_step_and_resume_goes_on() -> None:
    whole = list(StepSampler(4, 0, 5))
    assert [place for step in whole for place in step] == list(range(20))
    shares = [list(StepSampler(4, 0, 5, rank=r, ranks=2)) for r in range(2)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == whole
    assert list(StepSampler(4, 3, 5)) == whole[3:] and len(StepSampler(4, 3, 5)) == 2


def test_a_bad_entry_gives_way_to_that_of_the_next_step() -> None:
    epochs = Epochs(40, 0)
    broken = {epochs[5], epochs[9], epochs[6]}
    found = draw(40, broken, list(range(4, 8)), size=4)
    assert found == [
        (str(epochs[4]), []),
        (str(epochs[13]), [epochs[5], epochs[9]]),
        (str(epochs[10]), [epochs[6]]),
        (str(epochs[7]), []),
    ]


def test_stand_ins_are_the_same_on_any_number_of_ranks_and_after_a_resume() -> None:
    broken = set(range(0, 60, 5))
    whole = draw(60, broken, list(range(120)), size=6, seed=2)
    for ranks in (2, 3):
        parts = {
            place: item
            for rank in range(ranks)
            for step in StepSampler(6, 7, 20, rank=rank, ranks=ranks)
            for place, item in zip(step, draw(60, broken, step, size=6, seed=2), strict=True)
        }
        assert [parts[place] for place in range(42, 120)] == whole[42:]
    for start in range(0, 120, 6):
        uids = [uid for uid, _ in whole[start : start + 6]]
        assert len(set(uids)) == 6 or start + 6 > 60  # within an epoch no step has an entry twice


def test_an_epoch_meets_every_bad_entry() -> None:
    broken = {3, 17, 31, 32}
    met = {index for _, indices in draw(40, broken, list(range(40)), size=4) for index in indices}
    assert met == broken


def test_no_usable_entry() -> None:
    ((uid, met),) = draw(3, {0, 1, 2}, [0], size=1)
    assert uid == "" and len(met) == LONGEST_RUN


@pytest.mark.parametrize(
    "error, message",
    [
        (
            UserError("a.json: has changed since the run started; start again"),
            "a.json: has changed since .*; start again",
        ),
        (OSError(28, "No space left on device", "/d/x"), "dataset: .*No space left on device: '/d/x'; see to the disk"),
    ],
)
def test_what_is_wrong_with_more_than_an_entry_comes_back_as_a_line(error: Exception, message: str) -> None:
    """A worker would bury it in a traceback."""

    def check(example: Example) -> None:
        raise error

    samples = Samples(Numbered(9, set()), MediaReader(MediaSettings()), check, range)  # type: ignore[arg-type]
    batch = Collate(None, ("think", "zero"), thinking=True)([samples[1]])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^{message}"):
        data_with(Ledger(None, 1.0)).count("train", 50, [batch])


def test_held_out_entries_give_way_to_spare_ones() -> None:
    assert list(HeldOut(10, 4)(1)) == [1, 5, 9] and list(HeldOut(4, 4)(1)) == [1]


# --- counting over ranks


def data_with(ledger: Ledger, collate: Any = None) -> PromptData:
    source = lambda split: [Example(str(n), "q", "a", "free-form") for n in range(50)]  # noqa: E731
    reader = MediaReader(MediaSettings())
    steps, evaluation = Steps("train", prompts_per_step=4, last=1, seed=0), Evaluation(prompts=2, batch=2)
    data = PromptData(source, reader, collate, ledger, steps=steps, evaluation=evaluation)
    data.load()
    return data


def test_all_ranks_count_the_same_and_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Batch(drawn=20, bad=(bad(1),))
    others = {"few": Batch(drawn=20, bad=()), "many": Batch(drawn=20, bad=(bad(2), bad(3), bad(4)))}
    for name, other in others.items():
        monkeypatch.setattr("ral.lit.datamodule.gather", lambda value, other=other: [value, [other]])
        data = data_with(Ledger(None, 0.05))
        if name == "few":
            data.count("train", 50, [mine])
            assert data.ledger.record.counts == {"train": (40, 1)}
        else:
            with pytest.raises(UserError, match="4 of the 40 train"):
                data.count("train", 50, [mine])
    monkeypatch.setattr("ral.lit.datamodule.gather", lambda value: [value, [Batch(error="elsewhere: wrong")]])
    with pytest.raises(UserError, match="elsewhere: wrong"):
        data_with(Ledger(None, 1.0)).count("train", 50, [mine])


def test_a_place_without_any_usable_entry_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no usable entry near the bad ones of the train split; data.json: entry 2: "):
        data_with(Ledger(None, 1.0)).count("train", 50, [Batch(drawn=50, bad=(bad(1),) * 4, empty=1)])
    data = data_with(Ledger(None, 1.0))
    data.count("validation", 50, [Batch(drawn=3, bad=(bad(1),), empty=1), Batch(drawn=2)])
    with pytest.raises(UserError, match=r"no usable entry .* validation split"):
        data.count("validation", 50, [Batch(drawn=1, bad=(bad(1),), empty=1)])


@pytest.mark.parametrize(
    ("asked", "there", "usable", "said"),
    [
        (55, 55, 55, None),
        (55, 40, 40, "eval.prompts=55, but 40 are evaluated: the validation split holds 40; write eval.prompts=40, or"),
        (55, 55, 40, "eval.prompts=55, but 40 are evaluated: 15 cannot be used and have no stand-in (bad_samples.json"),
        (55, 45, 40, "eval.prompts=55, but 40 are evaluated: the validation split holds 45, 5 cannot be used and have"),
    ],
)
def test_fewer_held_out_prompts_than_asked_for_are_told(asked: int, there: int, usable: int, said: str | None) -> None:
    line = short(asked, there, usable)
    assert line is None if said is None else line is not None and line.startswith(said)


@pytest.mark.parametrize(("prompts", "empty", "said"), [(50, 0, ""), (60, 0, "but 50 are"), (50, 3, "but 47 are")])
def test_an_evaluation_of_fewer_prompts_warns_once(
    prompts: int, empty: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_with(Ledger(None, 1.0))
    data.evaluation = Evaluation(prompts, batch=2)
    data.trainer = SimpleNamespace(is_global_zero=True)  # type: ignore[assignment]
    batch = Batch(drawn=50, bad=(bad(1),) * empty, empty=empty)
    monkeypatch.setattr(data, "val_dataloader", lambda: [replace(batch, prompts=object())])
    for _ in range(2):
        assert len(list(data.held_out(lambda: None))) == 1
    told = capsys.readouterr().err
    assert told.count("warning: ") == bool(said) and said in told


def test_the_number_of_evaluated_prompts_is_logged() -> None:
    record = {"reward": 1.0, "problem_type": "free-form", "data_type": "image"}
    assert evaluation_means([record] * 7)["eval/prompts"] == 7


def test_what_only_this_run_has_no_use_for(load: Callable[..., MLLM]) -> None:
    """A question with a placeholder, and an entry without reasoning where thinking is trained."""
    plain = Example("a", "q", "a", "free-form", source="f: entry 1")
    teach = Collate(load().processor, ("think", "zero"), thinking=True, targets=True)
    with pytest.raises(BadSample, match="f: entry 1: field 'process': missing"):
        teach.check(plain)
    teach.check(Example("a", "q", "a", "free-form", thought="so"))
    asks = Collate(load().processor, ("think", "zero"), thinking=True)
    asks.check(plain)
    with pytest.raises(BadSample, match=r"the question holds the placeholder <\|image_pad\|>; take it out"):
        asks.check(Example("a", "what is <|image_pad|>?", "a", "free-form"))
    with pytest.raises(BadSample, match=r"the question holds the control token <\|im_end\|>; take it out"):
        asks.check(Example("a", "what?", "a", "free-form", options=("A. this", "B. that<|im_end|>")))
    with pytest.raises(BadSample, match=r"the response holds the control token <\|vision_start\|>; take it out"):
        teach.check(Example("a", "q", "a", "free-form", thought="so <|vision_start|>"))
    asks.check(Example("a", "q <|vision_start|>", "a", "free-form", thought="so <|image_pad|>"))
    with pytest.raises(
        BadSample, match=r"the answer in field 'gold' holds the control token <\|im_end\|>; take it out"
    ):
        asks.check(Example("a", "q", "a <|im_end|>", "free-form", answer_field="gold"))


def test_a_gold_answer_that_rules_cannot_read_is_bad_where_they_score(load: Callable[..., MLLM]) -> None:
    """Not for compat, which reads any, and not as a response to learn."""
    odd = Example("a", "how many?", "plenty", "numerical", thought="so", source="f: entry 1")
    for rules, is_bad in (("fixed", True), ("compat", False)):
        part = {"function": {"_target_": "ral.rewards.accuracy.accuracy", "rules": rules}, "weight": 1}
        check = scorable(OmegaConf.create({"parts": {"mine": part}}))
        collate = Collate(load().processor, ("think", "zero"), thinking=True, scorable=check)
        replace(collate, targets=True).check(odd)
        if is_bad:
            with pytest.raises(
                BadSample, match=r"^f: entry 1: .*'plenty' holds no single number.*; write one "
            ) as error:
                collate.check(odd)
            assert error.value.place == "f: entry 1" and error.value.reason.startswith("field solution: 'plenty'")
        else:
            collate.check(odd)


# --- whole runs


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """40 entries in Video-R1's format, two of them clips, seven bad in seven ways, one of these held out."""
    entries = []
    for n in range(40):
        Image.new("RGB", (56, 56), (6 * n, 90, 200)).save(tmp_path / f"{n}.png")
        text = {"problem": "What color is the star?", "solution": "<answer>red</answer>", "problem_type": "free-form"}
        entries.append(text | {"problem_id": n, "data_type": "image", "path": f"./{n}.png", "options": []})
    for n in (1, 12):
        write_frames([Image.new("RGB", (56, 56), (9 * k, 9, 9)) for k in range(4)], tmp_path / f"{n}.mp4")
        entries[n] |= {"data_type": "video", "path": f"./{n}.mp4"}
    (tmp_path / "3.png").unlink()
    (tmp_path / "9.png").write_bytes(b"")
    (tmp_path / "14.png").write_text("no picture")
    (tmp_path / "33.png").write_bytes((tmp_path / "32.png").read_bytes()[:60])
    entries[20]["solution"] = None
    entries[27] |= {"solution": "<answer>plenty</answer>", "problem_type": "numerical"}
    texts = [json.dumps(entry) for entry in entries]
    texts[25] = texts[25].replace('"options":', '"options"')
    (tmp_path / "data.json").write_text("[" + ",\n".join(texts) + "]")
    return tmp_path / "data.json"


BROKEN = {3, 9, 14, 20, 25, 27}
HELD_OUT_BROKEN = {33}


@pytest.fixture
def overrides(mixed: Path, model_folder: Callable[..., Path]) -> list[str]:
    return [
        f"model.pretrained={model_folder()}",
        *("algo=grpo", "algo.group_size=2", "algo.updates_per_rollout=1", "algo.prompts_per_step=8", "eval.prompts=4"),
        *("dataset=video_r1", f"dataset.path={mixed}", "dataset.max_new_tokens=4", "dataset.max_bad_share=0.5"),
        *(
            "dataset.media.image_min_pixels=784",
            "dataset.media.video_min_pixels=784",
            "eval.every=0",
            "eval.batch=2",
            "diagnostics.every=0",
        ),
    ]


def test_a_run_over_bad_data_lists_exactly_these(run: Callable[..., Path], overrides: list[str]) -> None:
    """One epoch of 32 entries: every bad one is listed, every step is full, and a resumed run repeats it."""
    folder = run(*overrides, "max_steps=4", "checkpoint.every=2", "checkpoint.keep=9")
    found = lines(folder / "bad_samples.jsonl")
    assert {line["index"] for line in found} == BROKEN | HELD_OUT_BROKEN and len(found) == 7
    assert all(line["problem_id"] == line["index"] or line["index"] == 25 for line in found)
    skipped = [line["data/skipped"] for line in lines(folder / "metrics.jsonl") if "data/skipped" in line]
    assert len(skipped) == 4 and sorted(skipped) == skipped and skipped[-1] == 7
    records = lines(folder / "eval" / "after.jsonl")
    assert [r["uid"] for r in records] == ["data-32", "data-37", "data-34", "data-35"]  # 33 gave way to a spare one
    again = run(*overrides, "max_steps=4", f"resume={folder / 'checkpoints' / 'step_000002'}", folder="resumed")
    assert lines(again / "bad_samples.jsonl") == found
    same = [key for key in lines(folder / "metrics.jsonl")[-1] if not key.startswith("time/")]
    last = [lines(path / "metrics.jsonl")[-1] for path in (folder, again)]
    assert [last[0][key] for key in same] == [last[1][key] for key in same]


def test_too_much_bad_data_ends_a_run_with_one_line(run: Callable[..., Path], overrides: list[str]) -> None:
    with pytest.raises(UserError, match=r"of the \d+ \w+ entries drawn so far cannot be used \(listed in .*above"):
        run(*overrides, "max_steps=9", "dataset.max_bad_share=0.02")


@pytest.mark.slow
def test_workers_hand_bad_entries_over(run: Callable[..., Path], overrides: list[str]) -> None:
    folder = run(*overrides, "max_steps=4", "hardware.num_workers=1", "eval.before=false")
    assert {line["index"] for line in lines(folder / "bad_samples.jsonl")} == BROKEN | HELD_OUT_BROKEN


BY_UID = """
import zlib

def by_uid(example, response):
    return zlib.crc32(example.uid.encode()) / 2**32
"""


@pytest.mark.slow
def test_two_ranks_skip_what_one_does(overrides: list[str], tmp_path: Path) -> None:
    """The same prompts, so the same rewards, which tell prompts apart; the same list in another order within a step."""
    (tmp_path / "by_uid.py").write_text(BY_UID)
    function = "{_target_: by_uid.by_uid, _partial_: true}"
    reward = [f"+reward.parts.by_uid={{_target_: ral.rewards.combine.Part, weight: 1, function: {function}}}"]
    two = ["hardware=ddp", "hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0"]
    for name, extra in (("one", []), ("two", two)):
        command = [sys.executable, str(ROOT / "train.py"), *overrides, *reward, *extra, "max_steps=4", "logger=jsonl"]
        environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [*command, f"hydra.run.dir={tmp_path / name}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    one, other = (tmp_path / name for name in ("one", "two"))
    found = [sorted(line["index"] for line in lines(folder / "bad_samples.jsonl")) for folder in (one, other)]
    assert found[0] == found[1] == sorted(BROKEN | HELD_OUT_BROKEN)
    for key in ("data/skipped", "train/response_length", "train/reward"):
        values = [[line.get(key) for line in lines(folder / "metrics.jsonl")] for folder in (one, other)]
        assert values[0] == pytest.approx(values[1]), key
    assert len({value for value in values[0] if value is not None}) == 4  # rewards of other prompts are others


def test_more_prompts_than_entries_are_told() -> None:
    said = "a step reads 14 prompts, and the train split holds 10 entries, so that some are in it twice; write algo.pro"
    assert str(crowded(14, 10, "train")).startswith(f"{said}mpts_per_step=10 or less")
    assert crowded(10, 10, "train") is None
