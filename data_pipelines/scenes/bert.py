"""The small BERT of the drawn dataset, trained on its captions and saved in the format of the published BERT.

With it, `scenes` needs no model hub. The vocabulary comes from TF Text's WordPiece learner and the weights from less
than a minute of pre-training. The two SavedModels have TF Hub's text API (see `xmcgan.models.text_encoder`).
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from collections.abc import Sequence

import tensorflow as tf
from absl import logging
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from data_pipelines.scenes import bert_pretraining
from xmcgan import text_files
from xmcgan.models import bert_model

_MAX_VOCABULARY = 2000
REPORT = "pretraining.json"  # Written last, so it marks a complete model.


def build(captions: Sequence[Sequence[str]], output_dir: str, *, seed: int = 0, steps: int = 600) -> dict[str, float]:
    """Learns a vocabulary and a small BERT from captions, and saves both as SavedModels.

    Writes `output_dir/preprocessor`, `output_dir/encoder` and `output_dir/pretraining.json` (the returned report), each
    of which appears only when it is complete. Does nothing if they exist already.

    Args:
      captions: the captions of each image, one or more.
      output_dir: folder to write to.
      seed: seed of the weights, the batches and the masks; the same seed results in the same BERT.
      steps: steps of pre-training.

    Returns:
      The report of `bert_pretraining.pretrain`, and 'seconds'.

    Raises:
      ValueError: there are fewer than four images, or the captions of an image are not a list of one or more strings.
    """
    report_path = os.path.join(output_dir, REPORT)
    if os.path.exists(report_path):
        with text_files.advice(f"remove {output_dir}, and it will be made again"):
            return text_files.read_json(report_path, dict[str, float])
    if len(captions) < 4:
        raise ValueError(f"captions of {len(captions)} images are too few for pre-training: pass 4 or more")
    for number, group in enumerate(captions, start=1):
        if isinstance(group, str) or not group:
            raise ValueError(f"image {number} needs a list of one or more captions, not {group!r}")
    start = time.time()
    flat = list(itertools.chain.from_iterable(captions))
    vocabulary = learn_vocabulary(flat)
    logging.info("small BERT: %d words and pieces from %d captions", len(vocabulary), len(flat))
    preprocessor = bert_model.Preprocessor(vocabulary)
    encoder = bert_model.Encoder(len(vocabulary), seed)
    report = bert_pretraining.pretrain(encoder, preprocessor, captions, steps=steps, seed=seed)
    report["seconds"] = time.time() - start

    temporary = f"{output_dir.rstrip(os.sep)}.incomplete"
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    bert_model.save(preprocessor, encoder, temporary)
    with open(os.path.join(temporary, REPORT), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
    os.makedirs(output_dir, exist_ok=True)
    for name in ("preprocessor", "encoder", REPORT):
        target = os.path.join(output_dir, name)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(os.path.join(temporary, name), target)
    os.rmdir(temporary)
    return report


def is_built(output_dir: str) -> bool:
    """Returns whether `build` has finished there."""
    return os.path.exists(os.path.join(output_dir, REPORT))


def learn_vocabulary(captions: Sequence[str]) -> list[str]:
    """Returns a WordPiece vocabulary of lower-case captions, which begins with the special tokens."""
    return bert_vocab_from_dataset.bert_vocab_from_dataset(
        tf.data.Dataset.from_tensor_slices(list(captions)).batch(1000),
        vocab_size=_MAX_VOCABULARY,
        reserved_tokens=list(bert_model.SPECIAL_TOKENS),
        bert_tokenizer_params={"lower_case": True},
    )
