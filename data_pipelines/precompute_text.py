"""Encodes all training captions with the text encoder and stores the features beside the records.

  python -m data_pipelines.precompute_text --dataset=coco2014 --data_dir=data
  python -m data_pipelines.precompute_text --dataset=ln_coco --config.text.encoder=FOLDER --config.data.text_length=48
  python -m xmcgan.train --dataset=coco2014 --config.text.precomputed

With --config.text.precomputed, training reads the features instead of running BERT in every step. Without that flag,
nothing needs to be stored. Features are stored in float16 and without padding; with BERT's 768 dimensions a word takes
1.5 kB. They are valid for one text encoder, one --config.text.sentence_pooling and one --config.data.text_length.
Training refuses features that were made with others. An interrupted run resumes with the missing files, and a finished
one is not repeated.
"""

from __future__ import annotations

import os

from etils import epy

from data_pipelines import datasets
from xmcgan import command_line

with epy.lazy_imports():  # These load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import encode_captions, prepare, records, text_feature_files
    from xmcgan.models import text_encoder

_DATA_DIR = command_line.define_data_dir()
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    config, data_dir = command_line.get_config(), _DATA_DIR.value
    prepare.prepare_for(config, data_dir)
    records.open_dataset(config.dataset, data_dir)  # Fails before BERT is downloaded if there are no records.
    encoder = text_encoder.load_text_encoder(config, data_dir)
    encoded = encode_captions.encode_captions(config, data_dir, encoder)
    folder = text_feature_files.folder(config.dataset, data_dir, text_feature_files.identify(config, data_dir))
    print("stored the text features of all training captions" if encoded else "nothing to do, already stored")
    print(f"features in {os.fspath(folder)}")


if __name__ == "__main__":
    command_line.run(main)
