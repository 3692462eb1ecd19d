r"""Makes a report of runs of the paper's rows: tables, training curves, and a verdict on each claim.

  python -m experiments.report --workdir=runs/ablations --dataset=scenes
  python -m experiments.report --workdir=runs/ablations --dataset=coco2014 --output=report

Reads what python -m experiments.run has finished, and writes into --output

  README.md      our tables beside the paper's, the verdicts with the numbers that they are made of, how to repeat a row
  tables.tex     the same tables, for \usepackage{booktabs}
  curves.png     training curves; and curves.pdf
  fig5.png       the two panels of Fig. 5, if its rows were run; and fig5.pdf
  pictures.png   what every row draws of the same captions; and pictures.pdf
  results.json   every number of every run
  config.json    the config that the rows differ from

Runs that are not done are named, and left out. Unlike runs (another budget, other settings, another evaluation) are
refused: they cannot stand in one table.
"""

from __future__ import annotations

import json
import os

from absl import flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line

with epy.lazy_imports():
    from experiments.ablation import finished_runs, report_page

_WORKDIR = flags.DEFINE_string("workdir", "runs/ablations", "Folder of all runs.")
_DATASET = command_line.define_dataset(datasets, "That the rows were trained on.")
_DATA_DIR = command_line.define_data_dir()
_CAPTIONS = flags.DEFINE_integer("captions", 5, "That every row draws images of; 0: no images.", lower_bound=0)
_NOTE = flags.DEFINE_string(
    "note", "", "What readers have to know of these runs besides, in Markdown: where they ran, say."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the report. [WORKDIR/DATASET/report]")


def main(argv: list[str]) -> None:
    """Writes the report, and says what is in it."""
    del argv
    results = finished_runs.read(_WORKDIR.value, _DATASET.value)
    output = _OUTPUT.value or os.path.join(_WORKDIR.value, _DATASET.value, "report")
    files = report_page.write(results, output, _DATA_DIR.value, _CAPTIONS.value, _NOTE.value)
    print(
        json.dumps({"runs": len(results.distinct()), "unfinished": len(results.unfinished), "files": files}, indent=2)
    )


if __name__ == "__main__":
    command_line.run(main)
