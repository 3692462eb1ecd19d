r"""Writes a report of the ablation runs: tables, training curves, and a verdict on each claim of the paper.

  python -m experiments.report --workdir=runs/ablations --dataset=scenes
  python -m experiments.report --workdir=runs/ablations --dataset=coco2014 --output=report

Reads the finished runs of `python -m experiments.run`, and writes into --output

  README.md      our tables beside the paper's, the verdicts with the numbers behind them, how to repeat a row
  tables.tex     the same tables, for \usepackage{booktabs}
  curves.png     training curves; and curves.pdf
  fig5.png       the two panels of Fig. 5, if its rows were run; and fig5.pdf
  pictures.png   images that every row generates for the same captions; and pictures.pdf
  results.json   every number of every run
  config.json    the config that the rows differ from

Unfinished runs are counted and left out. Runs that cannot be compared (another number of training images, other
settings, another evaluation) are refused.
"""

from __future__ import annotations

import json
import os

from absl import flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line, path_flags
from xmcgan.files import check_writable

with epy.lazy_imports():
    from experiments.ablation import finished_runs, report_page

_WORKDIR = path_flags.define_path("workdir", "runs/ablations", "Folder of all runs.")
_DATASET = command_line.define_dataset(datasets, "Dataset of the runs.")
_DATA_DIR = command_line.define_data_dir()
_CAPTIONS = flags.DEFINE_integer("captions", 5, "Captions to show images of; 0: no images.", lower_bound=0)
_NOTE = flags.DEFINE_string("note", "", "Text to add to the report, in Markdown, such as where the runs were trained.")
_OUTPUT = path_flags.define_path("output", None, "Folder of the report. [WORKDIR/DATASET/report]")


def main(argv: list[str]) -> None:
    """Writes the report and prints its files."""
    del argv
    output = _OUTPUT.value or os.path.join(_WORKDIR.value, _DATASET.value, "report")
    check_writable(output)  # Before images are drawn.
    results = finished_runs.read(_WORKDIR.value, _DATASET.value, _DATA_DIR.value)
    files = report_page.write(results, output, _DATA_DIR.value, _CAPTIONS.value, _NOTE.value)
    print(
        json.dumps({"runs": len(results.distinct()), "unfinished": len(results.unfinished), "files": files}, indent=2)
    )


if __name__ == "__main__":
    command_line.run(main)
