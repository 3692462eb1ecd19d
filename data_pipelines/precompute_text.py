"""Runs the text encoder over all training captions once, and stores its features beside the records.

  python -m data_pipelines.precompute_text --dataset=coco2014 --data_dir=data
  python -m data_pipelines.precompute_text --dataset=ln_coco --config.text.encoder=FOLDER --config.data.text_length=48
  python -m xmcgan.train --dataset=coco2014 --config.text.precomputed

Training with --config.text.precomputed then reads them instead of running BERT in every step; without it, nothing needs
to be stored. The features are float16, of the real words alone: 1.5 kB a word with BERT's 768 numbers. They belong to
the text encoder, its --config.text.sentence_pooling and the --config.data.text_length that they were made with;
training with others is refused. A run that was stopped goes on with the files that are missing; one that has finished
is not done again.
"""

from __future__ import annotations

import os

from etils import epy

from data_pipelines import datasets
from xmcgan import command_line

with epy.lazy_imports():  # They load TensorFlow, which takes seconds and is not needed for --help.
    from data_pipelines import encode_captions, prepare, records, text_feature_files
    from xmcgan.models import text_encoder

_DATA_DIR = command_line.define_data_dir()
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    config, data_dir = command_line.get_config(), _DATA_DIR.value
    prepare.prepare_for(config, data_dir)
    records.open_dataset(config.dataset, data_dir)  # Before a BERT is fetched in vain.
    encoder = text_encoder.load_text_encoder(config, data_dir)
    worked = encode_captions.encode_captions(config, data_dir, encoder)
    folder = text_feature_files.folder(config.dataset, data_dir, text_feature_files.identify(config, data_dir))
    print("stored the text features of all training captions" if worked else "nothing to do, already stored")
    print(f"features in {os.fspath(folder)}")


if __name__ == "__main__":
    command_line.run(main)
