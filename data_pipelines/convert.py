"""Turns a dataset's published files into records, once.

  python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data
  python -m data_pipelines.convert --dataset=ln_coco --source=coco --data_dir=data --download
  python -m data_pipelines.convert --dataset=ln_openimages --source=open_images --data_dir=data
  python -m data_pipelines.convert --dataset=scenes

What the source folder holds, as published:
  coco2014       train2014/ val2014/ annotations/{captions,instances}_{train,val}2014.json
  ln_coco        train2017/ val2017/ coco_{train,val}_localized_narratives*.jsonl (or coco_{train,val}_captions.jsonl);
                 with annotations/instances_{train,val}2017.json the records name the object classes too
  ln_openimages  open_images_{train_v6,validation}_localized_narratives*.jsonl (or open_images_*_captions.jsonl), and
                 images in train_0.tar.gz .. train_f.tar.gz and validation.tar.gz, in these unpacked, or in train/ and
                 validation/; the test split is taken too if it is there

Images keep their original JPEG bytes. Unfit images and captions are left out, stray spaces and line breaks are
mended, and all of it is listed in skipped.jsonl beside the records. All cores are used; with --beam_runner a cluster
(pip install 'xmcgan[beam]'). A conversion that was stopped leaves nothing half-made and can be started again at once;
one that has finished is not done again. Scenes are drawn if no --source is given.
"""

from __future__ import annotations

import os

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line

with epy.lazy_imports():  # They load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import download, prepare, records

_DATASET = command_line.define_dataset(datasets, "What to convert.")
_DATA_DIR = command_line.define_data_dir()
_SOURCE = flags.DEFINE_string("source", None, "Folder with the published files.")
_DOWNLOAD = flags.DEFINE_bool(
    "download", False, "First fetch into --source what it lacks, verified, going on where an earlier try was cut."
)
_CAPTIONS_ONLY = flags.DEFINE_bool(
    "captions_only", False, "With --download: fetch the lighter narratives, without times and traces."
)
_MAX_SKIPPED = flags.DEFINE_float(
    "max_skipped",
    0.01,
    "Fail if more than this share of a split's images, or captions, is unfit.",
    lower_bound=0,
    upper_bound=1,
)
_BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner", None, "Convert by Apache Beam on this runner, such as DirectRunner or DataflowRunner."
)
_BEAM_OPTIONS = flags.DEFINE_multi_string(
    "beam_options", [], "An option of the Beam pipeline, such as --beam_options=--direct_num_workers=8. Repeatable."
)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    dataset, data_dir, source = _DATASET.value, _DATA_DIR.value, _SOURCE.value
    published = datasets.get(dataset).published
    if source is None and not datasets.get(dataset).is_drawn:
        raise app.UsageError(f"--source is missing: the folder with the published files of {dataset}")
    if _DOWNLOAD.value and published is None:
        raise app.UsageError(f"--download has nothing to fetch for {dataset}: nobody publishes its files")
    if _CAPTIONS_ONLY.value and not _DOWNLOAD.value:
        raise app.UsageError("--captions_only belongs to --download; files that are there are taken as they are")
    if _BEAM_OPTIONS.value and not _BEAM_RUNNER.value:
        raise app.UsageError("--beam_options need --beam_runner")
    if _BEAM_RUNNER.value and source is None:
        raise app.UsageError("--beam_runner needs --source: `python -m data_pipelines.scenes` draws scenes into one")
    if _DOWNLOAD.value and published and source and not records.is_converted(dataset, data_dir):
        download.download(published, source, _CAPTIONS_ONLY.value)
    if source is None:
        worked = prepare.prepare_scenes(data_dir)
    else:
        worked = prepare.convert(dataset, source, data_dir, _MAX_SKIPPED.value, _BEAM_RUNNER.value, _BEAM_OPTIONS.value)
    folder = records.directory(dataset, data_dir)
    splits = records.open_dataset(dataset, data_dir).info.splits
    counts = ", ".join(f"{split.num_examples} {name}" for name, split in splits.items())
    print(f"{'converted' if worked else 'nothing to do, already converted'}: {counts} images")
    print(f"records in {os.fspath(folder)}")
    if (folder / records.SKIPPED_FILE).stat().length:
        print(f"what was left out or mended is listed in {os.fspath(folder / records.SKIPPED_FILE)}")


if __name__ == "__main__":
    command_line.run(main)
