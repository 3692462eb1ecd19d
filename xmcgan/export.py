"""Exports a trained XMC-GAN as a SavedModel that turns captions into images.

  python -m xmcgan.export --workdir=runs/demo --output=exports/demo
  python -m xmcgan.export --workdir=runs/coco2014 --checkpoint=best --precision=bfloat16 --output=exports/coco

The SavedModel contains the tokenizer, the text encoder and the averaged generator; loading it takes only TensorFlow and
TF Text. Each export adds a new version to --output (exports/demo/1, then 2, ...), which TensorFlow Serving finds by
itself. Warm-up requests, a model card (README.md) and the run's config lie beside the model.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping

from absl import app, flags

from xmcgan import command_line, config_json, model_flags, path_flags

if typing.TYPE_CHECKING:  # TensorFlow is imported only in `main`, so that --help is quick.
    from xmcgan.serving.model_card import Facts

_WORKDIR = command_line.define_workdir("Folder of the training run to export.", optional=True)
model_flags.define_pretrained()
_DATA_DIR = command_line.define_data_dir()
_OUTPUT = path_flags.define_path(
    "output", None, "Folder of the model's versions; the model is named after the folder. Required."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which checkpoint to export: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ("float32", "bfloat16", "float16"),
    "Type of the generator's weights and activations; 16 bits halve the size, and are faster on hardware made for it.",
)
_FOLD = flags.DEFINE_bool(
    "fold_statistics", True, "Fold the batch statistics into the modulation layers; the images stay the same."
)
_AT_ONCE = flags.DEFINE_integer(
    "at_once", 16, "Images of a request that are computed together, which bounds the memory.", lower_bound=1
)


def main(argv: list[str]) -> None:
    """Exports a checkpoint as the next version of a model."""
    del argv
    if not _OUTPUT.value:
        raise app.UsageError("--output is missing: give the folder of the model's versions, such as exports/demo")
    run = model_flags.get_run()
    assert run is not None  # The command has no --export.
    from absl import logging

    from xmcgan import handles
    from xmcgan.serving import saved_model
    from xmcgan.serving.caption_to_image import CaptionToImage
    from xmcgan.serving.model_card import model_card
    from xmcgan.serving.versions import new_version
    from xmcgan.training import checkpoints
    from xmcgan.training.workdir import read_config

    workdir, output = handles.resolve_run(run), os.path.normpath(_OUTPUT.value)
    config = read_config(workdir)
    checkpoint = checkpoints.find(workdir, _CHECKPOINT.value)
    step = checkpoints.step_of(checkpoint)
    with checkpoints.held(workdir, checkpoint) as held, new_version(output) as draft:
        logging.info("writing step %d of %s to %s", step, run, draft.path)
        model = CaptionToImage.from_checkpoint(
            config,
            held,
            _DATA_DIR.value,
            precision=_PRECISION.value,
            fold_statistics=_FOLD.value,
            at_once=_AT_ONCE.value,
        )
        saved_model.write(model, draft.folder, os.path.basename(output))
        sizes = saved_model.sizes(draft.folder, model)
        with open(os.path.join(draft.folder, "config.json"), "w", encoding="utf-8") as file:
            file.write(config_json.to_json(config))
        with open(os.path.join(draft.folder, "README.md"), "w", encoding="utf-8") as file:
            file.write(
                model_card(config, _facts(config.dataset, workdir, os.path.basename(output), draft.number, step, sizes))
            )
    parts = ", ".join(f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items())
    print(f"step {step}: {draft.path} ({parts}); read {os.path.join(draft.path, 'README.md')}")


def _facts(dataset: str, workdir: str, name: str, number: int, step: int, sizes: Mapping[str, int]) -> Facts:
    """Collects the facts for the model card, with the run's evaluation of that step if there is one."""
    from data_pipelines import datasets
    from eval import results
    from xmcgan.serving.model_card import Facts

    path = os.path.join(workdir, "eval", f"{step}.json")
    result = results.read(path) if os.path.exists(path) else None
    scores = [(score.name, str(score)) for score in result.scores] if result else []
    protocol = result.protocol if result else {}
    known = datasets.get(dataset, _DATA_DIR.value)
    return Facts(
        name,
        number,
        step,
        _PRECISION.value,
        _FOLD.value,
        scores,
        protocol,
        sizes,
        dataset=known.description,
        example=known.example,
    )


if __name__ == "__main__":
    command_line.run(main)
