"""results.md of `scripts/reproduce.py` and the pages of docs/: one text for both."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ral.files.markdown import table
from ral.study import path_again, path_claims, path_paper, path_wide
from ral.study.claims import ALPHA, MARGIN, Claim, Comparison, Resolution, family
from ral.study.facts import all_runs, asked_of, commits, grounded_share, question_counts
from ral.study.plan import MAIN
from ral.study.results import (
    GROUNDING,
    LAYER,
    TYPE,
    RowResult,
    Run,
    TableResult,
    by_type,
    metric_names,
    values,
)
from ral.study.statistics import Interval, interval
from ral.study.words import ANSWER_GROUNDING, attainable, grounding_words, machine_text, number, p_value, percent, short

KINDS = {
    "cuts": "Right answers of the teacher, with attention cut",
    "finals": "Accuracy of each run at the end, mean and 95% interval",
    "looks": "Attention of a step on its own place against accuracy, a dot a run",
    "kl": "Accuracy against KL to the shipped model",
    "lead": "RAL less GRPO, runs of their own at each number",
}
"""Titles of the figures TABLE_KIND, by kind, of tables other than `main`."""
OWN_CLAIMS = {
    path_claims.PATH: (path_claims.LETTERS, path_claims.__doc__),
    path_again.AGAIN: (path_again.LETTERS, path_again.__doc__),
    path_paper.PAPER: (path_paper.LETTERS, path_paper.__doc__),
    path_wide.TOKENS: (path_wide.LETTERS, path_wide.__doc__),
    path_wide.LENGTH: ((), ""),
}
"""{table with claims of its own: (letters of the claims that stand with it on the page, their rule)}"""
RULE = (
    "**The rule.** Differences are between runs of the same seed; to the shipped model, which has no randomness, of "
    "each run. Supported: the 95% interval by Student's t lies above 0, and p by sign flips is below "
    f"{ALPHA} after Holm's correction over the comparisons whose p decides a claim. Contradicted: the interval lies "
    "below 0, and p likewise. Inconclusive: everything else. A claim with several deciding comparisons is supported "
    "if all are, contradicted if one is. The comparisons of the correction are the same whatever the runs say; one "
    "with too few runs counts as p = 1.\n\n"
    "Claim (b) has no p, and no part in the correction. It is about the types of question where GRPO is below the "
    "shipped model with its 95% interval wholly below 0. Supported: in each of them the lower end of RAL less the "
    f"shipped model lies above -{100 * MARGIN:.0f} points. Contradicted: in one of them the whole interval lies below "
    "0. Without such a type the claim does not apply.\n\n"
    "Intervals are over seeds: they say nothing about other questions, data or models."
)


@dataclass(frozen=True)
class Page:
    """The content of the page. environment: that of the analysis. figures: {name: path from the page}.

    base: the shipped model's run; None where it is not done. resolution: {axis: evaluations at other resolutions}.
    problems: lines on missing runs. choice: how the difficulty of the questions was chosen, in words.
    """

    results: Sequence[TableResult]
    claims: Sequence[Claim]
    environment: Mapping[str, str]
    base: Run | None
    figures: Mapping[str, str]
    resolution: Mapping[str, Resolution] = field(default_factory=dict)
    problems: Sequence[str] = ()
    choice: str = ""


def write(page: Page) -> str:
    """Return the whole page in Markdown; its headings are of the third level."""
    results = {result.table.name: result for result in page.results}
    letters = {letter for own, _ in OWN_CLAIMS.values() for letter in own}
    main, path = ([c for c in page.claims if (c.letter in letters) == own] for own in (False, True))
    parts = [heading(page), claims_part(main, "### Claims", RULE)]
    if MAIN in results:
        parts.append(main_part(results[MAIN], page.figures))
    parts += [resolution_part(page)] if any(page.resolution.values()) else []
    parts += [other_part(result, page.figures, path) for name, result in results.items() if name != MAIN]
    parts += [commands_part(page.results), problems_part(page)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(part for part in parts if part))


def heading(page: Page) -> str:
    """Return the first paragraph: how the runs were made."""
    runs = all_runs(page.results)
    hours = sum(run.seconds for run in runs) / 3600
    made = ", ".join(f"{short(c)} ({len(v)} runs)" for c, v in commits(page.results).items()) or "none"
    steps = max((max(run.evaluations) for run in runs), default=0)
    asked = asked_of(page.results) or {"no data": 0}
    counts = " or ".join(map(str, dict.fromkeys(asked.values())))
    choice = f"**Difficulty.** {page.choice.strip()}\n\n" if page.choice else ""
    return (
        f"{len(runs)} runs of the shipped model of one million parameters on pictures and clips that no choice was "
        f"made on ({'; '.join(asked)}): {steps} steps, then {counts} held-out questions, answered greedily. "
        f"{hours:.1f} hours of one core. {machine_text(runs, page.environment)} Commit: {made}. "
        "`make reproduce` makes this text and its figures again; `python scripts/reproduce.py --help` says how to make "
        f"a part.\n\n{choice}"
        "A model 7,000 times as small as the paper's, on made data: the verdicts are about this scale, and "
        "say nothing of the paper's own runs.\n"
    )


def claims_part(claims: Sequence[Claim], title: str, rule: str) -> str:
    """Return the table of verdicts, the rule, and the table of comparisons; "" where there are no claims."""
    if not claims:
        return ""
    verdicts = table(["claim", "verdict"], [[f"({c.letter}) {c.text}", f"**{c.verdict}**"] for c in claims])
    rows = [claim_row(c.letter, k) for c in claims for k in c.comparisons]
    numbers = table(["", "difference", "runs", "points (95% interval)", "p", "p (Holm)"], rows)
    notes = "".join(f"\n({c.letter}) {c.note}\n" for c in claims if c.note)
    return f"{title}\n\n{verdicts}\n{rule}\n\n{numbers}\n{attainable(family(claims))}{notes}"


def claim_row(letter: str, shown: Comparison) -> list[str]:
    """Return a comparison's row of cells. Its corrected p is shown only where p decides the claim."""
    found = shown.found
    if found is None:
        return [f"({letter})", shown.name, "-", "too few runs", "-", "-"]
    last = p_value(found.corrected) if shown.tested else "by interval" if shown.decides else "shown only"
    p = "-" if shown.margin is not None else p_value(found.p)
    return [f"({letter})", shown.name, str(found.mean.n), percent(found.mean, "+", digits=2), p, last]


def main_part(result: TableResult, figures: Mapping[str, str]) -> str:
    """Return the part on the table `main`: accuracy, accuracy by type, grounding."""
    grounded, whose = grounding_words(metric_names(result, ANSWER_GROUNDING))
    parts = [f"### {result.table.title}\n", accuracy_table(result), attainable_of(result), grounded]
    parts += [shown(figures, "curves", "finals")]
    parts += [
        "\nAccuracy by type of question and, once more, by medium, percent:\n",
        types_table(result),
        shown(figures, "types"),
    ]
    parts += [f"\nGrounding by decoder layer (0 is the first), percent of the {whose} on the medium:\n"]
    layers = {metric: metric.removeprefix(LAYER) for metric in metric_names(result, LAYER)}
    parts += [by_metric(result, layers), shown(figures, "layers")]
    return "\n".join(part for part in parts if part)


def accuracy_table(result: TableResult) -> str:
    """Return the table of accuracies: means, differences from the baseline and from the shipped model."""
    against = sorted({row.row.baseline for row in result.full if row.row.baseline})
    name = f"less {against[0]}" if len(against) == 1 else "less its baseline"
    head = [
        "",
        "runs",
        "accuracy, % (95% interval)",
        name,
        "p",
        "p (Holm)",
        "less base",
        "grounding, %",
        "questions grounded, %",
        "KL, nats",
        "s a run",
    ]
    return table(head, [accuracy_row(row, len(against) > 1) for row in result.full])


def accuracy_row(row: RowResult, name_baseline: bool) -> list[str]:
    """Return a row of the table of accuracies. name_baseline: whether to name the baseline behind the difference."""
    pair, runs = row.paired, list(row.runs.values())
    grounding, kl = list(values(row.runs, GROUNDING).values()), [r.kl for r in runs if not math.isnan(r.kl)]
    less = percent(pair.mean, "+") if pair else "-"
    return [
        row.row.label,
        str(len(runs)) + (f" of {row.asked}" if len(runs) < row.asked else ""),
        percent(row.mean),
        f"{less} ({row.row.baseline})" if pair and name_baseline else less,
        p_value(pair.p) if pair else "-",
        p_value(pair.corrected) if pair else "-",
        percent(row.to_base.mean, "+") if row.to_base else "-",
        number(100 * sum(grounding) / len(grounding)) if grounding else "-",
        share_text(row),
        number(sum(kl) / len(kl), digits=3) if kl else "-",
        number(sum(r.seconds for r in runs) / len(runs), digits=0),
    ]


def share_text(row: RowResult) -> str:
    """Return the share of questions that have a grounding in the row's runs, in percent, or "not known"."""
    share = grounded_share(row.runs.values())
    return "not known" if share is None else number(100 * share)


def types_table(result: TableResult) -> str:
    """Return the table of accuracy by problem type, with the number of questions, and by medium."""
    names = by_type(result)
    counts = question_counts(next(iter(result.full[0].runs.values()))) if names else {}
    kinds = {metric: metric.removeprefix(TYPE) for metric in names}
    return by_metric(
        result, {m: name + (f" (n={counts[kinds[m]]})" if kinds[m] in counts else "") for m, name in names.items()}
    )


def by_metric(result: TableResult, names: Mapping[str, str]) -> str:
    """Return a table of means over runs with intervals, in percent. names: {metric: title of its column}."""
    rows = [[row.row.label, *(percent(_mean(row, metric)) for metric in names)] for row in result.full]
    return table(["", *names.values()], rows) if names else ""


def _mean(row: RowResult, metric: str) -> Interval | None:
    return _at(list(values(row.runs, metric).values()))


def other_part(result: TableResult, figures: Mapping[str, str], path: Sequence[Claim]) -> str:
    """Return the part on a table other than `main`. path: the claims of all tables in OWN_CLAIMS."""
    title, (letters, rule) = f"### {result.table.title}\n", OWN_CLAIMS.get(result.table.name, ((), ""))
    own = [claim for claim in path if claim.letter in letters]
    opening = claims_part(own, title, f"**The rule.** {rule}") if own else title + "\n" + standing(result)
    parts = [opening, accuracy_table(result), attainable_of(result)]
    names = [f"{result.table.name}_{kind}" for kind in KINDS]
    return "\n".join(part for part in [*parts, shown(figures, *names)] if part)


def standing(result: TableResult) -> str:
    """Return a sentence that says whether a claim rests on this table, which is not `main`."""
    if result.table.axis:
        return "A claim rests on its first and last rows; the rows between are indicative.\n"
    counts = sorted({len(row.runs) for row in result.full}) or [0]
    runs = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"Indicative, runs a row: {runs}; no claim rests on it.\n"


def attainable_of(result: TableResult) -> str:
    """Return a sentence with the smallest corrected p that a table's comparisons with baselines can reach."""
    return attainable([row.paired for row in result.rows if row.paired is not None])


def resolution_part(page: Page) -> str:
    """Return the part on the accuracy of GRPO and RAL at several numbers of visual tokens and frames."""
    text = "### Resolution and frames\n\nPercent of the same questions; mean over runs with 95% interval.\n"
    for axis, found in page.resolution.items():
        at = sorted({value for runs in found.values() for own in runs.values() for value in own})
        rows = [
            [row, *(percent(_at([own[value] for own in runs.values() if value in own])) for value in at)]
            for row, runs in found.items()
        ]
        text += "\n" + table([axis, *map(str, at)], rows) if at else ""
    return text + shown(page.figures, "resolution")


def _at(found: Sequence[float]) -> Interval | None:
    return interval(found) if found else None


def shown(figures: Mapping[str, str], *names: str) -> str:
    """Return those of the named figures that exist, as Markdown images; "" where none does."""
    titles = {
        "curves": "Accuracy over steps: mean over seeds, band of the 95% interval, baseline dashed",
        "finals": "Accuracy of each run at the end, mean and 95% interval",
        "types": "Accuracy by type of question",
        "layers": "Grounding by decoder layer against accuracy, a dot a run",
        "resolution": "RAL less GRPO over visual tokens and frames",
    }
    found = [
        f"![{titles.get(name) or KINDS[name.rpartition('_')[2]]}]({figures[name]})" for name in names if name in figures
    ]
    return "\n" + "\n\n".join(found) + "\n" if found else ""


def commands_part(results: Sequence[TableResult]) -> str:
    """Return the part with the command of the first run of each row; "" without runs."""
    lines = {row.row.overrides: next(iter(row.runs.values())).command for result in results for row in result.full}
    if not lines:
        return ""
    listed = "\n".join(lines.values())
    return f"### Commands\n\nThe first run of each row; the others differ in `seed`.\n\n```bash\n{listed}\n```\n"


def problems_part(page: Page) -> str:
    """Return the list of problems, runs at other commits and rows with missing runs; "" where there are none."""
    lines = [*page.problems, *commit_lines(page)]
    lines += [
        f"{result.table.name}: {row.row.label}: {len(row.runs)} of {row.asked} runs are done"
        for result in page.results
        for row in result.rows
        if len(row.runs) < row.asked
    ]
    return "### Left out or uneven\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""


def commit_lines(page: Page) -> list[str]:
    """Return lines on the runs whose commit is not the one of the analysis, or not the one of most runs."""
    made, here = commits(page.results), page.environment.get("commit", "unknown")
    others = sum(len(commands) for commit, commands in made.items() if commit != here)
    lines = [f"{others} runs were made at another commit than this analysis, {short(here)}"] if others else []
    for commit, commands in list(made.items())[1:]:
        other = f"{len(commands)} runs were made at commit {short(commit)}, not at that of most"
        lines.append(f"{other}; the first: `{commands[0]}`")
    return lines
