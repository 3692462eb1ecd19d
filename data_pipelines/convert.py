"""Turns a dataset's published files into records, once.

  python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data
  python -m data_pipelines.convert --dataset=scenes

COCO-14's folder holds train2014/, val2014/ and annotations/ as published. Pictures keep their original JPEG bytes.
Those that cannot be read are left out and listed in skipped.jsonl beside the records. A conversion that was stopped
leaves nothing half-made; one that has finished is not done again. Scenes are drawn if no --source is given.
"""

from __future__ import annotations

from absl import app, flags

from xmcgan import command_line

_DATASETS = ("coco2014", "scenes")
flags.DEFINE_enum("dataset", None, _DATASETS, "What to convert.")
_DATA_DIR = command_line.define_data_dir()
_SOURCE = flags.DEFINE_string("source", None, "Folder with the published files.")
_MAX_SKIPPED = flags.DEFINE_float(
    "max_skipped", 0.01, "Fail if more than this share of a split's pictures is unfit.", lower_bound=0, upper_bound=1
)


def main(argv: list[str]) -> None:
    del argv
    from data_pipelines import prepare, records

    dataset, data_dir = flags.FLAGS.dataset, _DATA_DIR.value
    if _SOURCE.value is not None:
        worked = prepare.convert(dataset, _SOURCE.value, data_dir, _MAX_SKIPPED.value)
    elif dataset == "scenes":
        worked = prepare.prepare_scenes(data_dir)
    else:
        raise app.UsageError(f"--source is missing: the folder with the published files of {dataset}")
    splits = records.open_dataset(dataset, data_dir).info.splits
    counts = ", ".join(f"{split.num_examples} {name}" for name, split in splits.items())
    print(f"{'converted' if worked else 'nothing to do, already converted'}: {counts} pictures")
    print(f"records in {records.directory(dataset, data_dir)}")


if __name__ == "__main__":
    command_line.run(main)
