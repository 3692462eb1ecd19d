"""Raw data -> records, once: `python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data`."""

from __future__ import annotations

import sys

from absl import app, flags

from data_pipelines import prepare, records

_DATASET = flags.DEFINE_enum("dataset", None, list(prepare.BUILDERS), "What to convert.", required=True)
_SOURCE = flags.DEFINE_string("source", None, "Folder with the raw data; without it, scenes are drawn anew.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of all records; those made go to <data_dir>/<dataset>.")
_MAX_SKIPPED = flags.DEFINE_float(
    "max_skipped", 0.01, "Fail if more than this share of a split's pictures is unfit.", lower_bound=0, upper_bound=1
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument '{argv[1]}'")
    dataset, data_dir = _DATASET.value, _DATA_DIR.value
    try:
        if _SOURCE.value is not None:
            worked = prepare.convert(dataset, _SOURCE.value, data_dir, _MAX_SKIPPED.value)
        elif dataset == "scenes":
            worked = prepare.prepare_scenes(data_dir)
        else:
            raise app.UsageError(f"--source is needed for {dataset}: the folder with its raw data")
        splits = records.open_dataset(dataset, data_dir).info.splits
    except (OSError, ValueError) as error:
        sys.exit(f"data_pipelines.convert: error: {error}")
    counts = ", ".join(f"{split.num_examples} {name}" for name, split in splits.items())
    print(f"{'converted' if worked else 'nothing to do, already converted'}: {counts} pictures")
    print(f"records in {records.directory(dataset, data_dir)}")


if __name__ == "__main__":
    app.run(main)
