"""The image benchmarks' prompts and scores against those of lmms-eval.

Runs with RAL_LMMS_EVAL=<a folder that holds lmms_eval 0.7>; none of that package's requirements are needed.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_benchmarks_image as image
import yaml
from test_benchmarks_image import NAMES, OPTIONS, TEN, load, records

from ral.evaluation.benchmarks import chartqa, choice, cv_bench, folder, items, mme, vizwiz

published = image.published
LMMS = os.environ.get("RAL_LMMS_EVAL", "")
DECLARED = {  # file of the prompt's words
    "vstar": "vstar_bench/_default_template_yaml",
    "mmmu_pro": "mmmu_pro/mmmu_pro_standard.yaml",
    "mme": "mme/mme.yaml",
    "muirbench": "muirbench/muirbench.yaml",
    "chartqa": "chartqa/chartqa.yaml",
    "vizwiz": "vizwiz_vqa/_default_template_vqa_yaml",
    "blink": "blink/_default_template_yaml",
    "cv_bench": "cv_bench/_default_template_yaml",
}
# Responses that ours judges otherwise, on purpose: lmms-eval takes the first letter of some word, a letter that is
# ruled out, the first of two, or none.
WORDS = {"cotton", "The glove is made of cotton.", "Cotton or leather? D", "Clearly D", "A or B"}
PARTS = {
    "vstar": WORDS | {"Answer: B", "Based on the picture, it is (C).", "Not (A): it bends. So (D)."},
    "mmmu_pro": {"b", "**B**", "B) cotton", "cotton", "The answer is C, not B.", "D\nOf the others, (B) bends."},
    "blink": WORDS | {"**B**"},
    "cv_bench": WORDS
    | {"**B**", "Answer: B", "The answer is B.", "The correct answer is (B).", "Based on the picture, it is (C)."}
    | {"I think the answer is D because it shines.", "<think>B? No.</think>\nThe answer is D."}
    | {"Not (A): it bends. So (D)."},
}


@pytest.fixture
def lmms(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """lmms_eval's utils of a benchmark, without what its packages import at their start."""
    if not LMMS:
        pytest.skip("set RAL_LMMS_EVAL to a folder that holds lmms_eval")
    monkeypatch.syspath_prepend(LMMS)
    for package in ("", ".tasks", ".tasks._task_utils", ".filters"):
        module = types.ModuleType(f"lmms_eval{package}")
        module.__path__ = [str(Path(LMMS, f"lmms_eval{package}".replace(".", "/")))]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    silent = types.SimpleNamespace(**dict.fromkeys(("debug", "info", "warning", "error"), lambda *_: None))
    monkeypatch.setitem(sys.modules, "loguru", types.SimpleNamespace(logger=silent))

    def utils(name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in its docstrings
            return importlib.import_module(f"lmms_eval.tasks.{DECLARED[name].split('/')[0]}.utils")

    return utils


def theirs(name: str, utils: Any, gold: str, text: str) -> float:
    """lmms-eval's score of a response."""
    plain = [option[3:] for option in OPTIONS]
    rest = dict.fromkeys(("idx", "id", "question_id", "category", "sub_task", "subject", "type", "task", "source"), "x")
    doc = rest | {"text": "?", "question": "?", "options": str(plain), "choices": plain, "answer": gold, "label": gold}
    if name == "vstar":
        return utils.vstar_process_results(doc, [text])["vstar_overall_acc"]["score"]
    if name == "mmmu_pro":
        found = utils.mmmu_pro_process_results(doc, [text])["mmmu_acc"]
        return float(found["parsed_pred"] == gold)
    if name == "muirbench":
        (read,) = utils.MultiChoiceRegexFilter().apply([[text]], [doc])
        more = {"image_relation": "", "image_type": ""}
        return utils.muir_aggregation([utils.muir_process_results(doc | more, [read])["muirbench_score_overall"]])
    if name == "vizwiz":
        return utils.vizwiz_vqa_process_results(doc | {"answers": list(TEN)}, [text])["exact_match"]
    if name == "mme":
        return utils.mme_process_results(doc | {"category": "OCR"}, [text])["mme_perception_score"]["score"]
    if name == "chartqa":
        return utils.chartqa_process_results(doc | {"type": "human_test"}, [text])["relaxed_overall"]
    process = getattr(utils, f"{name}_process_results")
    return float(process(doc, [text])[f"{name}_acc"]["is_correct"])


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_lmms_eval(name: str, lmms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the answer block of each pair, and for VizWiz and ChartQA on random texts too."""
    utils = lmms(name)
    monkeypatch.setattr(random, "choice", lambda _: "guess")  # MMMU's where it reads no letter
    tables = {"muirbench": image.MUIRBENCH, "mme": image.MME, "chartqa": image.CHARTQA, "vizwiz": image.VIZWIZ}
    pairs = tables.get(name, image.CHOICE)
    if name in PARTS:
        pairs = [(response, gold.strip("()"), score) for response, gold, score in pairs]
    parted = {
        response
        for response, gold, score in pairs
        if theirs(name, utils, gold, choice.final(response)) != pytest.approx(score)
    }
    print(f"{name}: {len(pairs) - len(parted)} of {len(pairs)} as lmms-eval; parted: {sorted(parted)}")
    assert parted == PARTS.get(name, set())


def test_normal_form_and_tolerance_on_random_texts(lmms: Any) -> None:
    process = lmms("vizwiz").EvalAIAnswerProcessor()
    dice = random.Random(1)
    pieces = [*process.CONTRACTIONS, *process.CONTRACTIONS.values(), *process.NUMBER_MAP, *process.PUNCTUATIONS]
    pieces += [" ", " ", "a", "the", ".", "3.5", "1,000", "'s", "\n", "Dog", "'", "%"]
    texts = [*process.CONTRACTIONS, *("".join(dice.choices(pieces, k=dice.randint(1, 8))) for _ in range(5000))]
    assert [t for t in texts if vizwiz.normal(t) != process(t)] == []
    relaxed = lmms("chartqa").relaxed_correctness
    words = ["1", "1.05", "1.051", "0", "0.95", "95%", "-1", "Yes", "yes", "1e0", "100%", "%", "", "nan", "inf", "1,0"]
    assert all(chartqa.relaxed(said, gold) == relaxed(said, gold) for said in words for gold in words)


class _Loader(yaml.SafeLoader):
    """Reads lmms-eval's yaml; its `!function` as text."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_those_of_lmms_eval(name: str, lmms: Any, published: Path, tmp_path: Path) -> None:
    utils, found = lmms(name), load(name, published / name, tmp_path)
    declared = yaml.load(Path(LMMS, "lmms_eval/tasks", DECLARED[name]).read_text(), _Loader)
    words = declared["lmms_eval_specific_kwargs"]["default"]
    prefix = {"muirbench": "muir", "vizwiz": "vizwiz_vqa"}.get(name, name)
    count = 1 if name == "vstar" else len(found)  # the second of V* repeats the instruction there
    assert isinstance(found, folder.Items)
    for n in range(count):
        row = dict(found.rows[n])
        said = getattr(utils, f"{prefix}_doc_to_text")(row, words)
        assert found[n].example.question == said.replace("<image>", "")  # its runner of Qwen-VL takes these out


def test_points_and_means_are_those_of_lmms_eval(lmms: Any) -> None:
    dice, utils = random.Random(2), lmms("mme")
    rows = [
        (task, float(dice.random() < 0.6), {"picture": f"{task}/{n // 2}"})
        for task in utils.eval_type_dict["Perception"] + utils.eval_type_dict["Cognition"]
        for n in range(20)
    ]
    results = [{"question_id": facts["picture"], "category": task, "score": score} for task, score, facts in rows]
    assert mme.summary(records(*rows))["score"] == pytest.approx(utils.mme_aggregate_results(results))
    assert set(mme.COGNITION) == set(utils.eval_type_dict["Cognition"])
    kinds = [("2D", "ADE20K"), ("2D", "COCO"), ("2D", "COCO"), ("3D", "Omni3D")] * 9
    pictures = [("x", float(dice.random() < 0.6), {"type": kind, "source": source}) for kind, source in kinds]
    theirs = [{"source": facts["source"], "is_correct": score} for _, score, facts in pictures]
    ours = cv_bench.summary(records(*pictures))
    assert ours["accuracy"] == pytest.approx(lmms("cv_bench").cv_bench_default_aggregate_results(theirs))
    assert ours["overall"] == pytest.approx(items.accuracy(records(*pictures))["accuracy"])
