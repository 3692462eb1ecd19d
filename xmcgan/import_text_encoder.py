"""Makes a text encoder for training from a model in Hugging Face's format.

  python -m xmcgan.import_text_encoder --source=all-MiniLM-L6-v2 --output=text/minilm
  python -m xmcgan.import_text_encoder --download=sentence-transformers/all-MiniLM-L6-v2 --output=text/minilm

--source is a folder with config.json, model.safetensors, and tokenizer.json or vocab.txt. Models of the types 'bert'
and 'distilbert' can be imported, with any number of layers, heads and dimensions, cased or not. Weights stored in 16
bits become float32. Files that can contain code (pytorch_model.bin) are never read.

--output receives two SavedModels, preprocessor/ and encoder/, with the API of TF Hub's text models. The command ends
with the flags that train with them. --download needs: pip install -e '.[huggingface]'
"""

from __future__ import annotations

import os
import shlex

from absl import app, flags
from etils import epy

from xmcgan import command_line, files, path_flags

with epy.lazy_imports():  # These load TensorFlow, which takes seconds and is not needed for --help.
    from xmcgan import console
    from xmcgan.hugging_face import bert, download
    from xmcgan.models import bert_model, text_encoder

_SOURCE = path_flags.define_path("source", None, "Folder of the model.")
_DOWNLOAD = flags.DEFINE_string(
    "download", None, "Instead of --source: name of the model at Hugging Face, such as google-bert/bert-base-uncased."
)
_REVISION = flags.DEFINE_string("revision", None, "For --download: branch, tag or commit; the newest by default.")
_OUTPUT = path_flags.define_path("output", None, "Folder to make, for both SavedModels. Required.")


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    if not _OUTPUT.value:
        raise app.UsageError("--output is missing: give the folder to make, such as text/minilm")
    if bool(_SOURCE.value) == bool(_DOWNLOAD.value):
        raise app.UsageError("give either --source=FOLDER or --download=NAME")
    if _REVISION.value and not _DOWNLOAD.value:
        raise app.UsageError("--revision belongs to --download")
    output = os.path.normpath(_OUTPUT.value)
    with files.new_folder(output) as folder:
        source = _SOURCE.value or download.download(_DOWNLOAD.value or "", _REVISION.value)
        imported = bert.load(source)
        with console.quiet_libraries():
            bert_model.save(imported.preprocessor, imported.encoder, folder)
        # Loads both as training will, and encodes an empty caption of the greatest length.
        preprocessor, encoder = (os.path.join(folder, name) for name in ("preprocessor", "encoder"))
        text_encoder.TextEncoder(preprocessor, encoder, imported.architecture.positions)
    _report(imported, output)


def _report(imported: bert.ImportedBert, output: str) -> None:
    size, tokenizer = imported.architecture, imported.tokenizer
    case = "lower-cased" if tokenizer.lower_case else "cased"
    print(
        f"{output}: {imported.model_type}, {size.layers} layers, {size.heads} heads, {size.width} dimensions, "
        f"{len(tokenizer.vocabulary):,} tokens, {case}, captions of up to {size.positions} tokens"
    )
    if not size.pooler:
        print("it has no pooler: --config.text.sentence_pooling=pooled_output would take the output at [CLS]")
    preprocessor, encoder = (os.path.join(output, name) for name in ("preprocessor", "encoder"))
    paths = (f"--config.text.preprocessor={preprocessor}", f"--config.text.encoder={encoder}")
    print(f"train with: --config.text.dim={size.width} {' '.join(map(shlex.quote, paths))}")


if __name__ == "__main__":
    command_line.run(main)
