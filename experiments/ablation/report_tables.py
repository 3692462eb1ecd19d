"""Tables of results in the paper's layout, with its numbers beside ours, in Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tabulate

from experiments.ablation import claims
from experiments.ablation.claims import Outcome, Verdict
from experiments.ablation.finished_runs import ACCURACY, Results
from experiments.ablation.paper_rows import METRICS, Row, Table
from xmcgan import escapes

# Table 4's columns of check marks. A row has a check mark if its name contains the part given here.
_MARKS = {"table4": {"S": "s", "W": "w", "D": "d", "VGG": "vgg"}}
_WITH_ACCURACY = ("fig5",)


class Cell(NamedTuple):
    """One metric of a row."""

    values: np.ndarray  # [seeds]
    published: float | None
    is_best: bool  # Whether its mean is the best of the table

    @property
    def ours(self) -> str:
        """Mean and standard deviation over seeds, with three digits."""
        if not self.values.size:
            return ""
        mean = float(np.mean(self.values))
        if self.values.size == 1:
            return number(mean)
        return f"{number(mean)} ± {number(float(np.std(self.values, ddof=1)), like=mean)}"

    @property
    def paper(self) -> str:
        """The number as the paper prints it."""
        return "" if self.published is None else f"{self.published:.2f}"


def number(value: float, like: float | None = None) -> str:
    """Formats a number with three digits, or with as many decimals as `like` would have."""
    size = abs(value if like is None else like)
    return f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}"


def metrics_of(table: Table, results: Results) -> list[str]:
    """Returns the columns of a table, by the paper's names of the metrics."""
    names = [metric for metric in METRICS if metric in results.names]
    return [*names, ACCURACY] if table.name in _WITH_ACCURACY else names


def cells_of(table: Table, row: Row, results: Results) -> dict[str, Cell]:
    """Returns a row's cells by metric."""
    cells = {}
    for metric in metrics_of(table, results):
        means = {
            other.name: float(np.mean(values))
            for other in table.rows
            if (values := results.values(f"{table.name}/{other.name}", metric)).size
        }
        best = (min if metric in results.lower_is_better else max)(means, key=lambda name: means[name], default=None)
        is_best = row.name == best and metric != ACCURACY  # A higher accuracy is not better.
        values = results.values(f"{table.name}/{row.name}", metric)
        cells[metric] = Cell(values, row.published.get(metric), is_best)
    return cells


def markdown(table: Table, results: Results) -> str:
    """Formats a table in Markdown: our mean and deviation, the best in bold, then the paper's number in brackets."""
    metrics, marks = metrics_of(table, results), _MARKS.get(table.name, {})
    heads = [*(marks or ["Row"]), *(_head(metric, results) for metric in metrics)]
    lines = []
    for row in table.rows:
        cells = []
        for cell in cells_of(table, row, results).values():
            ours = f"**{cell.ours}**" if cell.is_best else cell.ours or "not run"
            cells.append(f"{ours} ({cell.paper})" if cell.paper else ours)
        lines.append([*_first_columns(row, marks, "✓"), *cells])
    return _markdown(lines, heads, [*(["center"] * len(marks) or ["left"]), *["right"] * len(metrics)])


def latex(table: Table, results: Results) -> str:
    """Formats a table in LaTeX, for `booktabs`: our columns, then the paper's."""
    metrics, marks = metrics_of(table, results), _MARKS.get(table.name, {})
    published = [metric for metric in metrics if any(metric in row.published for row in table.rows)]
    groups = [rf"\multicolumn{{{len(marks) or 1}}}{{c}}{{}}", rf"\multicolumn{{{len(metrics)}}}{{c}}{{ours}}"]
    if published:
        groups.append(rf"\multicolumn{{{len(published)}}}{{c}}{{the paper, on {escapes.latex(table.dataset)}}}")
    heads = [*(marks or [""])]
    heads += [_head(metric, results, r"$\uparrow$", r"$\downarrow$", escapes.latex) for metric in metrics]
    heads += [escapes.latex(metric) for metric in published]
    rows = []
    for row in table.rows:
        cells = cells_of(table, row, results)
        ours = [
            rf"\textbf{{{escapes.latex(cell.ours)}}}" if cell.is_best else escapes.latex(cell.ours) or "--"
            for cell in cells.values()
        ]
        paper = [cells[metric].paper or "--" for metric in published]
        first = [escapes.latex(column) for column in _first_columns(row, marks, r"$\checkmark$")]
        rows.append([*first, *ours, *paper])
    aligned = [*(["center"] * len(marks) or ["left"]), *["right"] * (len(metrics) + len(published))]
    rendered = tabulate.tabulate(rows, heads, tablefmt="latex_raw", colalign=aligned, disable_numparse=True)
    rules = (r"\toprule" + "\n" + " & ".join(groups) + r" \\", r"\midrule", r"\bottomrule")
    for rule in rules:
        rendered = rendered.replace(r"\hline", rule, 1)
    return rendered


def verdicts_markdown(verdicts: Iterable[Verdict]) -> str:
    """Formats a table of claims: the paper's text, and whether its numbers and ours support it."""
    rows = []
    for verdict in verdicts:
        agree, judged = claims.in_the_paper(verdict.claim)
        paper = f"{agree} of {judged}" if judged else "no numbers"
        rows.append([verdict.claim.text, verdict.claim.place, paper, f"**{verdict.words}**{_counts(verdict)}"])
    return _markdown(rows, ["The paper says", "where", "by its own numbers", "here"])


def comparisons_markdown(verdict: Verdict, results: Results) -> str:
    """Formats the comparisons behind a verdict, with their numbers."""
    rows = []
    for (better, worse, metric), outcome in verdict.outcomes.items():
        difference = verdict.differences[better, worse, metric]
        if difference is None:
            continue
        numbers = " and ".join(Cell(results.values(name, metric), None, is_best=False).ours for name in (better, worse))
        value, margin = (_in_its_unit(part, metric, results) for part in difference)
        rows.append(
            [better, worse, escapes.markdown(results.names.get(metric, metric)), numbers, value, margin, outcome.value]
        )
    return _markdown(rows, ["better", "worse", "metric", "numbers", "difference", "margin", ""])


def _markdown(rows: list[list[str]], heads: list[str], aligned: list[str] | None = None) -> str:
    return tabulate.tabulate(rows, heads, tablefmt="pipe", colalign=aligned, disable_numparse=True)


def _in_its_unit(part: float, metric: str, results: Results) -> str:
    """Formats a difference or its margin: a ratio for distances, points for other metrics."""
    if np.isnan(part):
        return "?"
    return f"x {np.exp(part):.2f}" if metric in results.lower_is_better else f"{part:+.2f}"


def _counts(verdict: Verdict) -> str:
    """Returns a text such as ': 3 of 5 comparisons hold, 2 within the noise'; '' if nothing could be judged."""
    judged = sum(verdict.count(outcome) for outcome in (Outcome.HOLDS, Outcome.NOISE, Outcome.AGAINST))
    if not judged:
        return ""
    parts = [f"{verdict.count(Outcome.HOLDS)} of {judged} comparisons hold"]
    for outcome in (Outcome.NOISE, Outcome.AGAINST):
        if verdict.count(outcome):
            parts.append(f"{verdict.count(outcome)} {outcome.value}")
    return f": {', '.join(parts)}"


def _head(
    metric: str,
    results: Results,
    up: str = "↑",
    down: str = "↓",
    escape: Callable[[str], str] = escapes.markdown,
) -> str:
    if metric == ACCURACY:
        return metric
    return f"{escape(results.names[metric])} {down if metric in results.lower_is_better else up}"


def _first_columns(row: Row, marks: dict[str, str], mark: str) -> list[str]:
    letters = row.name.split("_")
    return [mark if letter in letters else "" for letter in marks.values()] if marks else [row.title]
