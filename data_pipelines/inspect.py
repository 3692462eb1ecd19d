"""Shows what the records of a dataset contain: statistics, compared with the paper's Table 1, and a page of samples.

  python -m data_pipelines.inspect --dataset=coco2014 --data_dir=data
  python -m data_pipelines.inspect --dataset=ln_coco --data_dir=data --split=validation --sheet=narratives.html
  python -m data_pipelines.inspect --dataset=coco2014 --config.text.preprocessor=FOLDER --output=statistics.json

Prints the number and sizes of images, the words and tokens of captions, object classes, narratives, what the conversion
left out or mended, and whether the numbers agree with the paper's Table 1. The sheet is one HTML file with the same
numbers and some sample records; traces of narratives are drawn over their images. Tokens are counted with the
experiment's text preprocessor and, as in training, captions are cut at --config.data.text_length.

The module shares its name with one of Python's standard library, because users type it as a command. The code is in the
package `inspection`.
"""

from __future__ import annotations

import os

from absl import app, flags, logging
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line, error_lines, path_flags
from xmcgan.files import write_text

with epy.lazy_imports():  # These load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import records
    from data_pipelines.inspection import report, samples, sheet, tokens
    from xmcgan import handles

_DATA_DIR = command_line.define_data_dir()
_SPLIT = flags.DEFINE_string("split", None, "The split to inspect, such as validation; by default all splits.")
_SHEET = path_flags.define_path(
    "sheet", None, "HTML file to write; by default <data_dir>/inspect_<dataset>.html.", bucket=True
)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", 24, "Records shown on the sheet.", lower_bound=0, upper_bound=10_000)
_SEED = command_line.define_seed("Seed of the random choice of records.")
_OUTPUT = path_flags.define_path("output", None, "JSON file to write the numbers to.", bucket=True)
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    config = command_line.get_config()
    dataset, data_dir = config.dataset, _DATA_DIR.value
    splits = report.choose_splits(dataset, data_dir, _SPLIT.value)
    sheet_file = sheet.check_output(_SHEET.value or os.path.join(data_dir, f"inspect_{dataset}.html"))
    json_file = sheet.check_output(_OUTPUT.value) if _OUTPUT.value else None
    if sheet_file == json_file:
        raise app.UsageError(f"--sheet and --output are both {json_file}: name two files")

    token_counter, hint = None, ""
    try:
        token_counter = tokens.TokenCounter(handles.resolve_text(config.text, data_dir)[0])
    except (FileNotFoundError, ValueError) as error:
        hint = error_lines.spell_flags(f"Tokens are not counted: {error}")
        logging.warning("%s", hint)
    found = report.inspect(dataset, data_dir, splits, config.data.text_length, token_counter)
    sampled = samples.draw(
        records.open_dataset(dataset, data_dir), found.folder, splits, _NUM_SAMPLES.value, _SEED.value
    )
    write_text(sheet_file, sheet.render(found, sampled, token_counter, hint))
    print(report.to_text(found))
    print(f"\n{hint}" if hint else "")
    if json_file:
        write_text(json_file, report.to_json(found))
        print(f"numbers in {json_file}")
    print(f"sheet in {sheet_file}")


if __name__ == "__main__":
    command_line.run(main)
