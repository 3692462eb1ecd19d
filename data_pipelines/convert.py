"""Converts a dataset's published files into records.

  python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data
  python -m data_pipelines.convert --dataset=ln_coco --source=coco --data_dir=data --download
  python -m data_pipelines.convert --dataset=ln_openimages --source=open_images --data_dir=data
  python -m data_pipelines.convert --dataset=scenes

Contents of the source folder, as published:
  coco2014       train2014/ val2014/ annotations/{captions,instances}_{train,val}2014.json
  ln_coco        train2017/ val2017/ coco_{train,val}_localized_narratives*.jsonl (or coco_{train,val}_captions.jsonl);
                 optional: annotations/instances_{train,val}2017.json, which adds the object classes to the records
  ln_openimages  open_images_{train_v6,validation}_localized_narratives*.jsonl (or open_images_*_captions.jsonl), and
                 images in train_0.tar.gz .. train_f.tar.gz and validation.tar.gz, packed or unpacked, or in train/ and
                 validation/; the test split is converted too if it is there

Images keep their original JPEG bytes. Unusable images and captions are left out, and stray spaces and line breaks are
mended; skipped.jsonl beside the records lists all of them. The conversion uses all cores, or with --beam_runner a
cluster (pip install 'xmcgan[beam]'). An interrupted conversion leaves no partial records and can be started again
immediately. A finished conversion is not repeated. Scenes are drawn if no --source is given.
"""

from __future__ import annotations

import os

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line

with epy.lazy_imports():  # These load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import download, prepare, records

_DATASET = command_line.define_dataset(datasets, "Dataset to convert.")
_DATA_DIR = command_line.define_data_dir()
_SOURCE = command_line.define_path("source", None, "Folder with the published files.", remote=True)
_DOWNLOAD = flags.DEFINE_bool(
    "download", False, "First download what --source lacks and verify it; resumes an interrupted download."
)
_CAPTIONS_ONLY = flags.DEFINE_bool(
    "captions_only", False, "With --download: download the smaller narratives, without times and traces."
)
_MAX_SKIPPED = flags.DEFINE_float(
    "max_skipped",
    0.01,
    "Fail if more than this share of a split's images, or of its captions, cannot be used.",
    lower_bound=0,
    upper_bound=1,
)
_BEAM_RUNNER = flags.DEFINE_string(
    "beam_runner", None, "Convert with Apache Beam on this runner, such as DirectRunner or DataflowRunner."
)
_BEAM_OPTIONS = flags.DEFINE_multi_string(
    "beam_options", [], "Option of the Beam pipeline, such as --beam_options=--direct_num_workers=8. Repeatable."
)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    dataset, data_dir, source = _DATASET.value, _DATA_DIR.value, _SOURCE.value
    published = datasets.get(dataset).published
    if source is None and not datasets.get(dataset).is_drawn:
        raise app.UsageError(f"--source is missing: the folder with the published files of {dataset}")
    if _DOWNLOAD.value and published is None:
        raise app.UsageError(f"--download does not apply to {dataset}: its files are not published")
    if _CAPTIONS_ONLY.value and not _DOWNLOAD.value:
        raise app.UsageError("--captions_only needs --download: files that are already there are used as they are")
    if _BEAM_OPTIONS.value and not _BEAM_RUNNER.value:
        raise app.UsageError("--beam_options needs --beam_runner")
    if _BEAM_RUNNER.value and source is None:
        raise app.UsageError("--beam_runner needs --source: `python -m data_pipelines.scenes` draws such a folder")
    if _DOWNLOAD.value and published and source and not records.is_converted(dataset, data_dir):
        download.download(published, source, _CAPTIONS_ONLY.value)
    if source is None:
        converted = prepare.prepare_scenes(data_dir)
    else:
        converted = prepare.convert(
            dataset, source, data_dir, _MAX_SKIPPED.value, _BEAM_RUNNER.value, _BEAM_OPTIONS.value
        )
    folder = records.directory(dataset, data_dir)
    splits = records.open_dataset(dataset, data_dir).info.splits
    counts = ", ".join(f"{split.num_examples} {name}" for name, split in splits.items())
    print(f"{'converted' if converted else 'nothing to do, already converted'}: {counts} images")
    print(f"records in {os.fspath(folder)}")
    if (folder / records.SKIPPED_FILE).stat().length:
        print(f"images and captions left out or mended are listed in {os.fspath(folder / records.SKIPPED_FILE)}")


if __name__ == "__main__":
    command_line.run(main)
