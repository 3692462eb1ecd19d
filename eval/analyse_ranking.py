"""Turns raters' answers into Fig. 3 of the paper: bars and tables with confidence intervals and rater agreement.

  python -m eval.analyse_ranking --ranking=ranking --answers=realism.json --answers=alignment.json

--ranking is the folder that eval.export_ranking wrote. --answers are the exports of its projects from Label Studio, as
JSON or JSON-MIN. Writes fig3.png, fig3.pdf, results.md, results.csv, results.json and left_out.csv, which lists every
answer that does not count and why.
"""

from __future__ import annotations

import pathlib

from absl import app

from xmcgan import command_line, path_flags

_RANKING = path_flags.define_path("ranking", "ranking", "Folder written by eval.export_ranking.")
_ANSWERS = path_flags.define_paths("answers", "Export from Label Studio, as JSON or JSON-MIN; repeatable.")
_SEED = command_line.define_seed("Seed of the bootstrap.")
_OUTPUT = path_flags.define_path("output", None, "Folder to write to. [<ranking>/results]")


def main(argv: list[str]) -> None:
    """Analyzes the answers of a ranking."""
    del argv
    if not _ANSWERS.value:
        raise app.UsageError("--answers is missing: pass it once for each export from Label Studio")
    from eval.ranking import report

    ranking = pathlib.Path(_RANKING.value)
    output = pathlib.Path(_OUTPUT.value) if _OUTPUT.value else ranking / "results"
    table = report.analyze(ranking, [pathlib.Path(path) for path in _ANSWERS.value], output, seed=_SEED.value)
    print(table)
    print(f"figure and tables in {output}")


if __name__ == "__main__":
    command_line.run(main)
