"""Do the tests of ral.ops notice a wrong formula? Plants one mistake at a time in a copy and runs the tests against it.

    .venv/bin/python scripts/mutation_check.py             all mutations (some minutes)
    .venv/bin/python scripts/mutation_check.py jsd clip    those whose description contains one of the words

Works in a temporary folder on a copy of ral/ and tests/test_ops_*; nothing in the repository changes. Prints a table
and exits with 1 if a mutation survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 300
"""Seconds that one test file may take; beyond, it counts as killed (a mutation can make an endless loop)."""
CONFTEST = """
import torch
from jaxtyping import install_import_hook
install_import_hook("ral.ops", "beartype.beartype")
torch.set_num_threads(1)
"""
"""The repository's conftest without the models, which these tests do not need."""


@dataclass(frozen=True)
class Mutation:
    """Replace `old`, which occurs once in ral/ops/<file>, by `new`; tests/test_ops_<tests>.py should fail."""

    what: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = (
    Mutation("jsd: 1/2 missing", "divergence", "- log_m)).sum(-1)) / 2", "- log_m)).sum(-1))", "divergence"),
    Mutation("jsd: middle is not halved", "divergence", "_log((p + q) / 2)", "_log(p + q)", "divergence"),
    Mutation(
        "jsd: one half only",
        "divergence",
        "((p * (_log(p) - log_m)).sum(-1) + (q",
        "((q * 0).sum(-1) + (q",
        "divergence",
    ),
    Mutation(
        "kl: directions swapped", "divergence", "(q * (_log(q) - _log(p)))", "(p * (_log(p) - _log(q)))", "divergence"
    ),
    Mutation("reverse kl: sign", "divergence", "(p * (_log(p) - _log(q)))", "(p * (_log(q) - _log(p)))", "divergence"),
    Mutation("hellinger: root missing", "divergence", "p.clamp_min(tiny).sqrt()", "p.clamp_min(tiny)", "divergence"),
    Mutation(
        "log: no floor under 0", "divergence", "p.clamp_min(torch.finfo(p.dtype).tiny).log()", "p.log()", "divergence"
    ),
    Mutation(
        "total variation: 1/2 missing", "divergence", "(p - q).abs().sum(-1) / 2", "(p - q).abs().sum(-1)", "divergence"
    ),
    Mutation(
        "Eq. 2: own position kept",
        "pieces",
        "at[None] < at[piece.start :, None]",
        "at[None] <= at[piece.start :, None]",
        "attention",
    ),
    Mutation("Eq. 2: own position not in the softmax", "pieces", "1 if self.itself else 0", "0", "attention"),
    Mutation(
        "Eq. 2: later tokens seen",
        "pieces",
        ".masked_fill_(later, -torch.inf)",
        ".masked_fill_(later & False, -torch.inf)",
        "attention",
    ),
    Mutation("Eq. 2: not renormalised", "pieces", "/ mass.clamp_min(least)", "/ 1.0", "attention"),
    Mutation("Eq. 2: scaling dropped", "pieces", "(q * self.scaling).transpose", "q.transpose", "attention"),
    Mutation(
        "Eq. 2: maximum over heads",
        "pieces",
        "reader(pieces, piece, weights.mean((0, 2)))",
        "reader(pieces, piece, weights.amax((0, 2)))",
        "attention",
    ),
    Mutation(
        "Eq. 2: padded prompt attended",
        "pieces",
        "self.valid.int().argmax(1).tolist()",
        "[0] * len(self.valid)",
        "attention",
    ),
    Mutation("Eq. 2: padded tokens get rows", "pieces", " & self.mask[piece.tokens][..., None]", "", "attention"),
    Mutation(
        "visual keys not restricted",
        "attention",
        'visual & valid if self.keys == "visual" else valid',
        "valid",
        "attention",
    ),
    Mutation("own keys not left out of a prompt's rows", "attention", 'spec.keys == "all"', "True", "attention"),
    Mutation(
        "rows: padded queries spoil gradients",
        "pieces",
        ".masked_fill(~mask[None, None, :, tokens, None], 0.0)",
        "",
        "attention",
    ),
    Mutation(
        "rows: padded keys spoil gradients",
        "pieces",
        ".masked_fill(~mask[None, :, : piece.stop, None], 0.0)",
        "",
        "attention",
    ),
    Mutation(
        "rows: positions of a range misplaced",
        "pieces",
        "piece.start - pieces.low, piece.stop - pieces.low",
        "piece.start, piece.stop",
        "attention",
    ),
    Mutation(
        "compare: padded anchor not masked",
        "pieces",
        "anchor.masked_fill(~pieces.keep(piece), 0.0)",
        "anchor",
        "attention",
    ),
    Mutation(
        "compare: sum over layers", "attention", "for rows in own]).mean(0)", "for rows in own]).sum(0)", "attention"
    ),
    Mutation("gradient: sign", "pieces", "moved.sub_(weights.mul_", "moved.neg_().add_(weights.mul_", "attention"),
    Mutation(
        "gradient: own mean of a head missing",
        "pieces",
        "return moved.sub_(weights.mul_(moved.sum(-1, keepdim=True)))",
        "return moved",
        "attention",
    ),
    Mutation("gradient: number of heads", "pieces", "cost / heads", "cost", "attention"),
    Mutation("gradient: scaling of the query", "pieces", ".transpose(1, 2) * scaling", ".transpose(1, 2)", "attention"),
    Mutation(
        "gradient: prompt keys of one response",
        "pieces",
        "on_keys[:, :, :prompt].sum(1)",
        "on_keys[:, 0, :prompt]",
        "attention",
    ),
    Mutation(
        "gradient: own keys overwritten",
        "pieces",
        "found[2][b, :, groups, : piece.stop] +=",
        "found[2][b, :, groups, : piece.stop] =",
        "attention",
    ),
    Mutation(
        "gradient: unwanted responses",
        "pieces",
        "if wanted is not None and not any(",
        "if wanted is not None and any(",
        "attention",
    ),
    Mutation("renormalise: small mass divided by", "pieces", ".tiny ** 0.5", ".tiny", "attention"),
    Mutation("entropy: sign", "attention", "return -(rows", "return (rows", "attention"),
    Mutation("token: sign", "objectives", "_weighted(-surrogate", "_weighted(surrogate", "objectives"),
    Mutation(
        "token: clip dropped",
        "objectives",
        "torch.minimum(ratio * advantage, clipped)",
        "ratio * advantage",
        "objectives",
    ),
    Mutation("token: maximum for minimum", "objectives", "torch.minimum(", "torch.maximum(", "objectives"),
    Mutation(
        "token: clip bounds swapped",
        "objectives",
        "1 - clip_low, 1 + clip_high) *",
        "1 - clip_high, 1 + clip_low) *",
        "objectives",
    ),
    Mutation(
        "token: ratio inverted",
        "objectives",
        "log_probs - anchor_log_probs",
        "anchor_log_probs - log_probs",
        "objectives",
    ),
    Mutation(
        "explore: advantage missing",
        "objectives",
        '_weighted(values * advantages[:, None], weights, mask, coef), {"explored',
        '_weighted(values, weights, mask, coef), {"explored',
        "explored",
    ),
    Mutation(
        "explore: tokens never fed count",
        "objectives",
        "masked_fill(~tried, 0.0)",
        "masked_fill(~mask, 0.0)",
        "explored",
    ),
    Mutation(
        "group: mean of the losers",
        "objectives",
        "masked_fill((advantages <= 0)",
        "masked_fill((advantages >= 0)",
        "explored",
    ),
    Mutation(
        "group: winners are pulled", "objectives", "(advantages < 0)[:, None]", "(advantages > 0)[:, None]", "explored"
    ),
    Mutation("group: everyone is pulled", "objectives", "mask & (advantages < 0)[:, None] &", "mask &", "explored"),
    Mutation(
        "group: own attention not restricted to pictures",
        "objectives",
        'attention.on("visual").compare',
        "attention.compare",
        "explored",
    ),
    Mutation(
        "group: padded tokens in the siblings' mean",
        "objectives",
        ".masked_fill(~mask[None, ..., None], 0.0)",
        "",
        "explored",
    ),
    Mutation(
        "group: siblings weighed by their length",
        "objectives",
        "return renormalise(seen.sum(2), visual.expand(len(rows), -1, -1))",
        "return seen.sum(2)",
        "explored",
    ),
    Mutation(
        "kl: ratio inverted",
        "objectives",
        "(reference_log_probs - log_probs)",
        "(log_probs - reference_log_probs)",
        "objectives",
    ),
    Mutation("kl: k1 sign", "objectives", "return -log_ratio", "return log_ratio", "objectives"),
    Mutation("kl: k2 without 1/2", "objectives", "log_ratio**2 / 2", "log_ratio**2", "objectives"),
    Mutation(
        "kl: k3 without its control variate",
        "objectives",
        "log_ratio.exp() - log_ratio - 1",
        "log_ratio.exp() - 1",
        "objectives",
    ),
    Mutation("kl: k3 not clamped", "objectives", ".clamp_max(MAX_K3)", "", "objectives"),
    Mutation(
        "Eq. 3: sign",
        "objectives",
        'values * advantages[:, None], weights, mask, coef), {"attention_d',
        '-values * advantages[:, None], weights, mask, coef), {"attention_d',
        "objectives",
    ),
    Mutation(
        "Eq. 3: advantage dropped",
        "objectives",
        'values * advantages[:, None], weights, mask, coef), {"attention_d',
        'values, weights, mask, coef), {"attention_d',
        "objectives",
    ),
    Mutation(
        "Eq. 5: sign",
        "objectives",
        '_weighted(values, weights, mask, coef), {"attention_d',
        '_weighted(-values, weights, mask, coef), {"attention_d',
        "objectives",
    ),
    Mutation(
        "distillation: kl directions swapped",
        "objectives",
        "return (p * (log_p - log_q)).sum(-1)",
        "return (q * (log_q - log_p)).sum(-1)",
        "objectives",
    ),
    Mutation(
        "distillation: sign",
        "objectives",
        "return (p * (log_p - log_q)).sum(-1)",
        "return (p * (log_q - log_p)).sum(-1)",
        "objectives",
    ),
    Mutation(
        "distillation: beta on the wrong side",
        "objectives",
        "logaddexp(log_q + torch.tensor(beta).log(), log_p + torch.tensor(1 - beta).log())",
        "logaddexp(log_p + torch.tensor(beta).log(), log_q + torch.tensor(1 - beta).log())",
        "objectives",
    ),
    Mutation("nll: sign", "objectives", "_weighted(-log_probs", "_weighted(log_probs", "objectives"),
    Mutation("coefficient dropped", "objectives", "return coef * masked_sum", "return masked_sum", "objectives"),
    Mutation("mask dropped from the weights", "objectives", "weights.masked_fill(~mask, 0.0)", "weights", "objectives"),
    Mutation(
        "mask dropped from the sum",
        "aggregate",
        "torch.where(mask, values, torch.zeros_like(values)).sum()",
        "values.sum()",
        "misc",
    ),
    Mutation(
        "metrics: mask dropped",
        "objectives",
        "masked_sum(values.detach().float(), mask), mask.sum()",
        "values.detach().float().sum(), mask.sum()",
        "objectives",
    ),
    Mutation(
        "aggregate: lengths ignored", "aggregate", "mask.sum(1, keepdim=True).clamp_min(1)", "mask.shape[1]", "misc"
    ),
    Mutation(
        "aggregate: empty responses counted", "aggregate", "float(mask.any(1).sum())", "float(mask.shape[0])", "misc"
    ),
    Mutation(
        "aggregate: tokens for sequences", "aggregate", "max(total.tokens, 1.0)", "max(total.sequences, 1.0)", "misc"
    ),
    Mutation(
        "advantages: biased std",
        "advantages",
        "rewards.std(dim=1, keepdim=True)",
        "rewards.std(dim=1, keepdim=True, correction=0)",
        "misc",
    ),
    Mutation(
        "advantages: mean over the batch",
        "advantages",
        "centred = rewards - rewards.mean(dim=1, keepdim=True)",
        "centred = rewards - rewards.mean()",
        "misc",
    ),
    Mutation("advantages: epsilon dropped", "advantages", "(spread + epsilon)", "spread", "misc"),
    Mutation("log-probs: temperature dropped", "logprobs", " / temperature", "", "misc"),
    Mutation("log-probs: temperature multiplied", "logprobs", " / temperature", " * temperature", "misc"),
    Mutation(
        "log-probs: bans dropped", "logprobs", "return logits.masked_fill(banned, -torch.inf)", "return logits", "misc"
    ),
    Mutation("log-probs: entropy sign", "logprobs", "entropy = -(log_p", "entropy = (log_p", "misc"),
    Mutation(
        "log-probs: logits kept",
        "logprobs",
        "partial(checkpoint, _chunk, use_reentrant=False)",
        "_chunk",
        "misc",
    ),
    Mutation(
        "signals: against ignored",
        "signals",
        'bound.get("against", default.default if default else ANCHOR)',
        "default.default if default else ANCHOR",
        "misc",
    ),
    Mutation("signals: bound ones asked for", "signals", " and p.name not in bound]", "]", "misc"),
    Mutation("schedule: no decay", "schedule", "(1 + math.cos(math.pi * min(progress, 1.0))) / 2", "1", "misc"),
    Mutation(
        "grounding: x and y swapped",
        "grounding",
        "((y >= top) & (y <= bottom))",
        "((y >= left) & (y <= right))",
        "misc",
    ),
    Mutation(
        "grounding: span ignored",
        "grounding",
        "time = (start < item.span[1]) &",
        "time = time | (start < item.span[1]) &",
        "misc",
    ),
)


def prepare(folder: Path) -> None:
    """Copy the package and the tests of ral.ops to `folder`."""
    shutil.copytree(ROOT / "ral", folder / "ral", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for path in (*ROOT.glob("tests/test_ops_*.py"), ROOT / "tests/ops_reference.py"):
        shutil.copy(path, folder / "tests")
    (folder / "tests/conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", folder)


def passes(folder: Path, tests: str) -> bool:
    """Whether tests/test_ops_<tests>.py passes against the copy. SystemExit where the tests cannot run at all."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/test_ops_{tests}.py"]
    settings = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise SystemExit(f"the tests of ral.ops cannot run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def survives(folder: Path, mutation: Mutation) -> bool:
    """Whether the tests pass in spite of the mutation. SystemExit where its text is no longer in the file once."""
    path = folder / "ral/ops" / f"{mutation.file}.py"
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.what}: {mutation.old!r} occurs {text.count(mutation.old)} times in {path.name}")
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        return passes(folder, mutation.tests)
    finally:
        path.write_text(text)


def check(words: Sequence[str]) -> int:
    """Run the mutations that match; the number of survivors."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.what for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for tests in sorted({m.tests for m in chosen}):
            if not passes(folder, tests):
                raise SystemExit(f"tests/test_ops_{tests}.py fails without any mutation")
        for mutation in chosen:
            start = time.perf_counter()
            alive = survives(folder, mutation)
            survivors += alive
            verdict, seconds = "SURVIVED" if alive else "killed", time.perf_counter() - start
            print(f"{verdict:9} {mutation.file:11} {mutation.what:42} {seconds:5.1f} s", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations killed")
    return survivors


if __name__ == "__main__":
    sys.exit(1 if check(sys.argv[1:]) else 0)
