"""Makes a trained run a model of this package.

  python -m experiments.pretrained --workdir=runs/demo --name=demo

The model is the folder xmcgan/pretrained/demo. It has the layout of a run, with one checkpoint: the averaged generator
and the discriminator, in 16 bits if that changes no image by more than one level of 255. The text encoder, the run's
evaluation of that step and a model card lie beside it. `pretrained:demo` names it wherever a trained model is
expected, also in --init_from.

The text encoder of a model that is called as its dataset is copied to that dataset's folder on first use, instead of
being trained there.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import typing

from absl import app, flags

from data_pipelines import datasets
from xmcgan import command_line, config_json, handles
from xmcgan import config as config_lib
from xmcgan.config import Config

if typing.TYPE_CHECKING:  # TensorFlow is imported only in `main`, so that --help is quick.
    from xmcgan.text_to_image import TextToImage

_WORKDIR = command_line.define_workdir()
_DATA_DIR = command_line.define_data_dir()
_NAME = flags.DEFINE_string("name", None, "Name of the model, which must be new. Required.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "Which checkpoint to use: 'latest', 'best' or a step.")
_HALF = flags.DEFINE_bool("half_weights", True, "Write the weights in 16 bits.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 256, "Images that are compared with the run's own.", lower_bound=1)
_LARGEST_SIZE = 10e6  # Bytes.
_CARD = """\
# {name}

Draws an image of {size} x {size} pixels from a sentence: XMC-GAN (Zhang et al., CVPR 2021,
[arXiv:2101.04702](https://arxiv.org/abs/2101.04702)). The tokenizer and the text encoder are included.

    python -m xmcgan.sample --pretrained={name} --caption="{example}"
    python -m xmcgan.train --dataset={dataset} --workdir=runs/tuned --init_from=pretrained:{name}

## What it is

- Trained on {description}.
- The averaged generator and the discriminator after {step:,} steps ({images:,} images).
- Weights in {bits} bits. {compared} images of held-out captions differ from those of the run by at most {change} of 255
  levels.
- Seed {seed}. The same weights, up to rounding, come from this command; the whole config is `config.json`:

      {command}

## How good it is

{scores}

## Limits

{limits}
"""


class Packaged(typing.NamedTuple):
    """What was written."""

    step: int  # Of the checkpoint
    change: int  # The largest difference between an image of the run and one of the model, in levels of 255
    size: int  # Bytes


def main(argv: list[str]) -> None:
    """Writes the model, and prints its size and what its precision has changed."""
    del argv
    name = _NAME.value or ""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise app.UsageError(f"--name='{name}': give the model a name of letters, digits, - and _")
    packaged = package(
        _WORKDIR.value, name, _DATA_DIR.value, _CHECKPOINT.value, half=_HALF.value, num_images=_NUM_IMAGES.value
    )
    differences = f"images differ from the run's by at most {packaged.change} of 255 levels"
    folder = handles.pretrained_folder(name)
    print(f"{folder}: step {packaged.step}, {packaged.size / 1e6:.1f} MB; {differences}")


def package(
    workdir: str, name: str, data_dir: str, checkpoint: str = "latest", *, half: bool = True, num_images: int = 256
) -> Packaged:
    """Writes the model of a run.

    Args:
      workdir: the run's folder.
      name: of the model.
      data_dir: folder of all records.
      checkpoint: see `checkpoints.find`.
      half: whether the weights are written in 16 bits.
      num_images: held-out captions whose images are compared.

    Raises:
      FileExistsError: there is a model of this name.
      ValueError: 16 bits change an image by more than one level, or the model is too large for the package.
    """
    from eval import results
    from xmcgan import files
    from xmcgan.text_to_image import TextToImage
    from xmcgan.training import checkpoints
    from xmcgan.training.workdir import checkpoint_folder, read_config

    config = read_config(workdir)
    path = checkpoints.find(workdir, checkpoint)
    step = checkpoints.step_of(path)
    with files.new_folder(handles.pretrained_folder(name)) as folder:
        os.mkdir(checkpoint_folder(os.fspath(folder)))
        written = os.path.join(checkpoint_folder(os.fspath(folder)), os.path.basename(path))
        _write_checkpoint(config, path, written, half)
        model = TextToImage.from_run(workdir, data_dir, str(step))
        captions = _held_out_captions(config, data_dir, num_images)
        change = _largest_change(model, captions, written)
        if change > 1:
            raise ValueError(
                f"16 bits change an image of {workdir} by {change} of 255 levels, but at most 1 is allowed: give "
                "--nohalf_weights"
            )
        own = _copy_text_encoder(config, data_dir, folder, name)
        files.write_text(folder / "config.json", config_json.to_json(own))
        result_path = os.path.join(workdir, "eval", f"{step}.json")
        if os.path.exists(result_path):
            result = results.read(result_path)  # Its protocol says which networks it used; where they were is dropped.
            kept = {name: value for name, value in result.details.items() if name != "weights"}
            results.write(str(folder / "eval" / os.path.basename(result_path)), result._replace(details=kept))
        card = _card(name, config, data_dir, step, half, len(captions), change, result_path)
        files.write_text(folder / "README.md", card)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        if size > _LARGEST_SIZE:
            raise ValueError(
                f"the model has {size / 1e6:.1f} MB, but at most {_LARGEST_SIZE / 1e6:.0f} MB are packaged"
            )
    return Packaged(step, change, size)


def _write_checkpoint(config: Config, path: str, written: str, half: bool) -> None:
    """Writes the averaged generator and the discriminator of a checkpoint as a checkpoint of their own."""
    import tensorflow as tf

    from xmcgan.training import checkpoint_files, checkpoints, half_weights
    from xmcgan.training.state import build_discriminator, build_generator

    networks = {"ema_generator": build_generator(config), "discriminator": build_discriminator(config)}
    step = tf.Variable(checkpoints.restore_networks(path, **networks), dtype=tf.int64)
    if half:
        networks = {name: half_weights.halve(network).trackable for name, network in networks.items()}
    checkpoint_files.write(tf.train.Checkpoint(step=step, **networks), written)


def _held_out_captions(config: Config, data_dir: str, number: int) -> list[str]:
    from data_pipelines import input_pipeline

    listed = input_pipeline.evaluation_captions(config.dataset, "validation", data_dir, num_captions=number, seed=0)
    return listed.captions


def _largest_change(model: TextToImage, captions: list[str], written: str) -> int:
    """Draws captions with a run's model, and again with the weights of another checkpoint, which it restores.

    Args:
      model: of the run.
      captions: to draw, each with a noise vector of its own.
      written: path of the other checkpoint.

    Returns:
      The largest difference between two images, in levels of 255.
    """
    import numpy as np

    before = model(captions, range(len(captions))).astype(int)
    model.restore(written)
    return int(np.abs(model(captions, range(len(captions))) - before).max())


def _copy_text_encoder(config: Config, data_dir: str, folder: os.PathLike, name: str) -> Config:
    """Copies the text preprocessor and encoder into the model's folder; returns the config that names the copies."""
    import tensorflow_hub as hub

    from data_pipelines.scenes import bert

    parts = ("preprocessor", "encoder")
    for part, handle in zip(parts, handles.resolve_text(config.text, data_dir)):
        shutil.copytree(hub.resolve(handle), os.path.join(folder, "bert", part))
    report = os.path.join(os.path.dirname(handles.resolve(config.text.encoder, data_dir)), bert.REPORT)
    if os.path.exists(report):  # The mark of a complete small BERT.
        shutil.copy(report, os.path.join(folder, "bert"))
    return config.with_fields({f"text.{part}": f"{handles.PRETRAINED}{name}/bert/{part}" for part in parts})


def _card(
    name: str, config: Config, data_dir: str, step: int, half: bool, compared: int, change: int, result_path: str
) -> str:
    """Returns the model card; `result_path` is that of the step's evaluation, which may be missing."""
    from eval import results
    from xmcgan.serving import model_card

    result = results.read(result_path) if os.path.exists(result_path) else None
    real = {score.name: f" (real images: {score})" for score in result.real} if result else {}
    scores = [(score.name, f"{score}{real.get(score.name, '')}") for score in result.scores] if result else []
    dataset = datasets.get(config.dataset, data_dir)
    return _CARD.format(
        name=name,
        size=config.data.image_size,
        dataset=config.dataset,
        description=dataset.description,
        example=dataset.example,
        step=step,
        images=step * config.training.images_per_iteration,
        bits=16 if half else 32,
        compared=compared,
        change=change,
        seed=config.training.seed,
        command=_command(config, data_dir),
        scores="\n".join(model_card.scores(scores, result.protocol if result else {})),
        limits="\n".join(f"- {limit}" for limit in model_card.limits(config)),
    )


def _command(config: Config, data_dir: str) -> str:
    """Returns the command that trains a run of this config, without the fields that do not change its weights."""
    settings = config_lib.settings()
    changes = config.changes(since=datasets.preset(config.dataset, data_dir=data_dir))
    fields = [name for name in changes if not settings[name].may_change or name == "training.num_steps"]
    values = [shlex.quote(f"--config.{name}={changes[name]}") for name in fields]
    return " ".join(["python -m xmcgan.train", f"--dataset={config.dataset}", *values])


if __name__ == "__main__":
    command_line.run(main)
