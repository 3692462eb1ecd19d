"""Writes the outcome of a ranking: Fig. 3, tables for readers (Markdown) and for programs (CSV and JSON)."""

from __future__ import annotations

import csv
import io
import math
import pathlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import tabulate

from eval.ranking import answers, design, figure, label_studio
from eval.ranking.answers import REASONS, LeftOut
from eval.ranking.design import QUESTIONS
from eval.ranking.estimates import RESAMPLINGS, Interval, QuestionResult, summarize
from xmcgan import escapes
from xmcgan.files import write_text

_INTERVALS = (
    f"In brackets: 95 % confidence intervals from a bootstrap over captions ({RESAMPLINGS:,} resamplings), because "
    "answers to the same caption are not independent."
)
_AGREEMENT = (
    "Kendall's W is the mean over captions with two or more answers (1: all rankings equal; 1 / raters: random "
    "rankings). Krippendorff's alpha is ordinal, over all images (1: all ranks equal; 0: chance)."
)


def analyze(ranking: pathlib.Path, exports: Sequence[pathlib.Path], output: pathlib.Path, *, seed: int = 0) -> str:
    """Maps the answers back to the models, computes the results, and writes the figure and tables (Fig. 3).

    Args:
      ranking: folder of the ranking.
      exports: exports from Label Studio, of one question or both; a question without answers is left out.
      output: folder to write to.
      seed: seed of the bootstrap.

    Returns:
      The tables, as Markdown.

    Raises:
      FileNotFoundError: a file or the key is missing.
      ValueError: a file cannot be read, or no answer counts.
    """
    claimed = design.read_key(ranking)
    given = answers.read(exports, claimed)
    answered = {answer.question for answer in given.accepted}
    if not answered:
        raise ValueError(f"none of the {len(given.left_out)} answers counts: check that the raters ranked all images")
    results = [
        summarize(given.accepted, question.name, claimed.models, len(claimed.captions), seed=seed)
        for question in QUESTIONS
        if question.name in answered
    ]
    figure.save(figure.draw(results), output, "fig3")
    write(output, results, given.left_out)
    return markdown(results, given.left_out)


def markdown(results: Sequence[QuestionResult], left_out: Sequence[LeftOut]) -> str:
    """Formats all results as Markdown."""
    titles = {question.name: question.title for question in QUESTIONS}
    parts = [f"{_INTERVALS}\n"]
    for result in results:
        places = range(len(result.models))
        parts.append(f"## {titles[result.question]}\n")
        parts.append(_table(_places_header(result), _place_rows(result, places)))
        parts.append("How often the row's model was ranked above the column's:\n")
        parts.append(_table(["model", *map(escapes.markdown, result.models)], _win_rows(result)))
        parts.append(_summary(result))
    parts.append(f"{_AGREEMENT}\n")
    parts.append("## Answers left out\n")
    parts.append(_left_out_table(left_out))
    return "\n".join(parts)


def rows(results: Sequence[QuestionResult]) -> list[dict[str, Any]]:
    """Returns a flat record for each number: question, measure, model, against (place or model), value, low, high."""
    records = []

    def add(result: QuestionResult, measure: str, model: str, against: object, interval: Interval, at: Any) -> None:
        value, low, high = (float(array[at]) for array in interval)
        records.append(
            {
                "question": result.question,
                "measure": measure,
                "model": model,
                "against": str(against),
                "value": value,
                "low": low,
                "high": high,
            }
        )

    for result in results:
        for i, model in enumerate(result.models):
            for place in range(len(result.models)):
                add(result, "share_at_place", model, place + 1, result.shares, (i, place))
            add(result, "mean_rank", model, "", result.mean_rank, i)
            for j, other in enumerate(result.models):
                if i != j:
                    add(result, "ranked_before", model, other, result.wins, (i, j))
    return records


def write(folder: pathlib.Path, results: Sequence[QuestionResult], left_out: Sequence[LeftOut]) -> list[pathlib.Path]:
    """Writes results.md, results.csv, results.json and left_out.csv; returns their paths."""
    questions = {
        result.question: {
            "answers": result.num_answers,
            "raters": result.num_raters,
            "captions": result.num_captions,
            "answers_per_caption": {str(number): count for number, count in result.answers_per_caption.items()},
            "kendalls_w": _nan_to_none(result.kendalls_w),
            "krippendorffs_alpha": _nan_to_none(result.alpha),
        }
        for result in results
    }
    numbers = rows(results)
    content = {"questions": questions, "numbers": numbers, "left_out": [answer._asdict() for answer in left_out]}
    texts = {
        "results.md": markdown(results, left_out),
        "results.csv": _csv(list(numbers[0]), [record.values() for record in numbers]),
        "results.json": label_studio.to_json(content),
        "left_out.csv": _csv(LeftOut._fields, left_out),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _places_header(result: QuestionResult) -> list[str]:
    others = [f"place {place}" for place in range(2, len(result.models) + 1)]
    return ["model", "ranked best", *others, "mean rank"]


def _place_rows(result: QuestionResult, places: Iterable[int]) -> Iterable[list[str]]:
    for i, model in enumerate(result.models):
        shares = [_percent(result.shares, (i, place), with_interval=place == 0) for place in places]
        value, low, high = (array[i] for array in result.mean_rank)
        yield [escapes.markdown(model), *shares, f"{value:.2f} [{low:.2f}, {high:.2f}]"]


def _win_rows(result: QuestionResult) -> Iterable[list[str]]:
    for i, model in enumerate(result.models):
        cells = ["" if i == j else _percent(result.wins, (i, j)) for j in range(len(result.models))]
        yield [escapes.markdown(model), *cells]


def _summary(result: QuestionResult) -> str:
    numbers = ", ".join(f"{count} with {number}" for number, count in result.answers_per_caption.items())
    return (
        f"{result.num_answers} answers from {result.num_raters} raters; captions by number of answers: {numbers}. "
        f"Kendall's W {result.kendalls_w:.3f}, Krippendorff's alpha {result.alpha:.3f}.\n"
    )


def _left_out_table(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return "None.\n"
    counts = Counter((answer.question, answer.reason) for answer in left_out)
    lines = [
        [question or "-", reason, REASONS[reason], str(counts[question, reason])] for question, reason in sorted(counts)
    ]
    return _table(["question", "reason", "meaning", "answers"], lines) + "All of them are listed in left_out.csv.\n"


def _percent(interval: Interval, at: Any, with_interval: bool = True) -> str:
    value, low, high = (100 * array[at] for array in interval)
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]" if with_interval else f"{value:.1f} %"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Formats a Markdown table."""
    align = ["left"] * len(header)
    return f"{tabulate.tabulate(list(lines), header, tablefmt='github', colalign=align, disable_numparse=True)}\n"


def _csv(header: Sequence[str], lines: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(escapes.spreadsheet, line) for line in lines)
    return buffer.getvalue()


def _nan_to_none(value: float) -> float | None:
    """Replaces NaN by None, because JSON has no NaN."""
    return None if math.isnan(value) else value
