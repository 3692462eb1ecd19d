"""Converts a dataset's published files, or your own images with captions, into records.

  python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data
  python -m data_pipelines.convert --dataset=ln_coco --source=coco --data_dir=data --download
  python -m data_pipelines.convert --dataset=ln_openimages --source=open_images --data_dir=data
  python -m data_pipelines.convert --dataset=scenes
  python -m data_pipelines.convert --dataset=captioned_images --source=FOLDER --name=birds

Contents of the source folder, as published:
  coco2014       train2014/ val2014/ annotations/{captions,instances}_{train,val}2014.json
  ln_coco        train2017/ val2017/ coco_{train,val}_localized_narratives*.jsonl (or coco_{train,val}_captions.jsonl);
                 optional: annotations/instances_{train,val}2017.json, which adds the object classes to the records
  ln_openimages  open_images_{train_v6,validation}_localized_narratives*.jsonl (or open_images_*_captions.jsonl), and
                 images in train_0.tar.gz .. train_f.tar.gz and validation.tar.gz, packed or unpacked, or in train/ and
                 validation/; the test split is converted too if it is there

Your own images (--dataset=captioned_images) may be in any of these layouts, and --layout chooses if several fit:
  imagefolder    metadata.csv, .jsonl or .parquet with file_name and text, beside the images (Hugging Face)
  table          captions.txt, .csv or .tsv, with one caption in each line; Flickr8k's and Flickr30k's forms among them
  txt            IMAGE.txt beside IMAGE.jpg, with one caption in each line
  text_folder    text_c10/CLASS/IMAGE.txt, and the images in another folder (CUB-200, Oxford-102)
  webdataset     tar files of KEY.jpg with KEY.txt or KEY.json
  coco           a captions JSON like COCO's, and images in any folder
Folders (train/, val/, test/), lists of names (val.txt), names of files (captions_val.csv) or a column 'split' say which
images are for validation; otherwise a hash of the names does. Afterwards all commands take --dataset=birds.

Plain JPEG and PNG files are kept byte for byte; other images are turned upright, laid over white and so on. Unusable
images and captions are left out, and stray spaces and line breaks are mended. skipped.jsonl beside the records lists
all of them. The conversion uses all cores, or with --beam_runner a cluster (pip install 'xmcgan[beam]'). An interrupted
conversion leaves no partial records and can be started again immediately. A finished conversion is not repeated. Scenes
are drawn if no --source is given.
"""

from __future__ import annotations

import os

from absl import app, flags
from etils import epy

from data_pipelines import datasets, own_datasets
from data_pipelines.layouts.names import LAYOUTS
from xmcgan import command_line, path_flags

with epy.lazy_imports():  # These load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import download, prepare, records

_DATASET = command_line.define_dataset(datasets, "Dataset to convert.", others=(datasets.CAPTIONED_IMAGES,))
_DATA_DIR = command_line.define_data_dir()
_SOURCE = path_flags.define_path("source", None, "Folder with the published files.", bucket=True)
_DOWNLOAD = flags.DEFINE_bool(
    "download", False, "First download what --source lacks and verify it; resumes an interrupted download."
)
_CAPTIONS_ONLY = flags.DEFINE_bool(
    "captions_only", False, "With --download: download the smaller narratives, without times and traces."
)
_NAME = flags.DEFINE_string("name", None, "Your own images: name of the dataset, for --dataset of all commands.")
_LAYOUT = flags.DEFINE_enum("layout", None, LAYOUTS, "Your own images: how they are arranged. [found by looking]")
_CAPTION_COLUMN = flags.DEFINE_string(
    "caption_column", "", "Your own images: column of the table, or key of the JSON, with captions. [text or caption]"
)
_VALIDATION_SHARE = flags.DEFINE_float(
    "validation_share",
    0.1,
    "Your own images: share for validation, if folders, lists or columns do not say which.",
    lower_bound=0,
    upper_bound=0.9,
)
_TEXT_PREPROCESSOR = path_flags.define_path(
    "text_preprocessor",
    "",
    "Your own images: text preprocessor to count tokens with, as in --config.text.preprocessor. [the default one, if "
    "it has been downloaded]",
    remote=True,
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
    if dataset == datasets.CAPTIONED_IMAGES:
        _convert_own()
        return
    given = [flag.name for flag in (_NAME, _LAYOUT, _CAPTION_COLUMN, _TEXT_PREPROCESSOR) if flag.value]
    if dataset not in datasets.NAMES:
        raise app.UsageError(f"{dataset} is made of your own images: --dataset=captioned_images --name={dataset}")
    if given:
        raise app.UsageError(f"--{given[0]} is for your own images: --dataset=captioned_images")
    published = datasets.get(dataset).published
    if source is None and not datasets.is_drawn(dataset):
        raise app.UsageError(f"--source is missing: the folder with the published files of {dataset}")
    if _DOWNLOAD.value and published is None:
        raise app.UsageError(f"--download does not apply to {dataset}: its files are not published")
    if _CAPTIONS_ONLY.value and not _DOWNLOAD.value:
        raise app.UsageError("--captions_only needs --download: files that are already there are used as they are")
    _check_beam()
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
    _report(dataset, converted)


def _convert_own() -> None:
    """Converts a user's own images."""
    name, data_dir = _NAME.value, _DATA_DIR.value
    if not name or not _SOURCE.value:
        missing = "--source" if name else "--name"
        raise app.UsageError(f"{missing} is missing: give the folder of your images, and a name, such as --name=birds")
    if _DOWNLOAD.value or _CAPTIONS_ONLY.value:
        raise app.UsageError("--download does not apply to your own images")
    _check_beam()
    try:
        own_datasets.check_name(name, datasets.TAKEN)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    converted = prepare.convert_own(
        name,
        _SOURCE.value,
        data_dir,
        _MAX_SKIPPED.value,
        _BEAM_RUNNER.value,
        _BEAM_OPTIONS.value,
        layout=_LAYOUT.value or "",
        caption_column=_CAPTION_COLUMN.value,
        validation_share=_VALIDATION_SHARE.value,
        text_preprocessor=_TEXT_PREPROCESSOR.value,
    )
    _report(name, converted)
    facts = own_datasets.read_facts(name, data_dir)
    if not converted:
        print(f"they were converted from {facts.source}; to convert again, remove that folder first")
    print()
    print(own_datasets.explain(name, data_dir, facts))


def _check_beam() -> None:
    if _BEAM_OPTIONS.value and not _BEAM_RUNNER.value:
        raise app.UsageError("--beam_options needs --beam_runner")
    if _BEAM_RUNNER.value and _SOURCE.value:
        prepare.pipeline_options(_BEAM_RUNNER.value, _BEAM_OPTIONS.value)  # Before the source is read.


def _report(dataset: str, converted: bool) -> None:
    """Prints how many images the records have, and where they are."""
    data_dir = _DATA_DIR.value
    folder = records.directory(dataset, data_dir)
    splits = records.open_dataset(dataset, data_dir).info.splits
    counts = ", ".join(f"{split.num_examples} {name}" for name, split in splits.items())
    print(f"{'converted' if converted else 'nothing to do, already converted'}: {counts} images")
    print(f"records in {os.fspath(folder)}")
    if (folder / records.SKIPPED_FILE).stat().length:
        print(f"images and captions left out or mended are listed in {os.fspath(folder / records.SKIPPED_FILE)}")


if __name__ == "__main__":
    command_line.run(main)
