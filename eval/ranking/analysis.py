"""The folder of a ranking and the answers to it -> figure and tables."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from eval.ranking import answers, figure, key, report, statistics
from eval.ranking.questions import QUESTIONS


def analyse(ranking: pathlib.Path, exports: Sequence[pathlib.Path], output: pathlib.Path, *, seed: int = 0) -> str:
    """Undoes the anonymity of the answers, sums them up and writes what came out (Fig. 3).

    Args:
      ranking: folder of the ranking.
      exports: Label Studio's, of one question or of both; a question without any answer is left away.
      output: folder to write to.
      seed: of the bootstrap.

    Returns:
      The tables, as Markdown.

    Raises:
      FileNotFoundError: a file or the key is missing.
      ValueError: a file cannot be read, or no answer counts.
    """
    claimed = key.read(ranking)
    given = answers.read(exports, claimed)
    answered = {answer.question for answer in given.accepted}
    if not answered:
        raise ValueError(
            f"none of the {len(given.left_out)} answers counts: see whether the raters ranked all pictures"
        )
    results = [
        statistics.summarize(given.accepted, question.name, claimed.models, len(claimed.captions), seed=seed)
        for question in QUESTIONS
        if question.name in answered
    ]
    figure.save(figure.draw(results), output, "fig3")
    report.write(output, results, given.left_out)
    return report.markdown(results, given.left_out)
