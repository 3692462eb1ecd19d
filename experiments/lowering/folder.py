"""The folder of a lowered run: everything that `runner.py` needs, written from a run and read back into it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from typing import Any, Callable

import numpy as np
import tensorflow as tf
import tqdm

from data_pipelines import input_pipeline, stream
from experiments.lowering import lower, runner
from xmcgan import config_json, text_files
from xmcgan.config import Config
from xmcgan.files import new_folder, replaced
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.training import random_numbers
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState
from xmcgan.training.summaries import METRICS_FILE, PendingMetrics, drop_steps_after
from xmcgan.training.workdir import check_workdir, claim_workdir, held

RUNNER = "run.py"
_CHUNK = 64  # Images that are decoded together.
_POSITIONS = 1 << 16  # Positions of the stream that are drawn together.


def write(
    folder: str | os.PathLike,
    config: Config,
    data_dir: str,
    workdir: str,
    text_encoder: TextEncoder,
    image_encoder: Callable | None = None,
) -> int:
    """Writes a run that another machine can train: its state, its iteration, and the data of its remaining steps.

    The folder appears only when it is complete.

    Args:
      folder: to write; must not exist.
      config: the experiment.
      data_dir: folder of all records.
      workdir: folder of the run. If it has checkpoints, the lowered run goes on from the newest one.
      text_encoder: encodes the captions.
      image_encoder: see `TrainingStep`.

    Returns:
      The step that the run starts from.

    Raises:
      FileExistsError: the folder exists.
      FileNotFoundError: the dataset has not been converted.
      ValueError: the config cannot be lowered, the workdir belongs to another run, or nothing is left to train.
    """
    if os.path.exists(folder):
        raise FileExistsError(f"{folder} exists: remove it, or name another folder by --output")
    if config.text.precomputed:
        raise ValueError("text.precomputed=True cannot be lowered: the lowered step encodes captions, so leave it off")
    check_workdir(workdir, config)
    num_images = input_pipeline.num_examples(config.dataset, "train", data_dir)
    num_steps = config.training.steps(num_images)
    state = TrainState(config)
    checkpoints = Checkpoints(workdir, state, max_to_keep=1)
    checkpoints.restore_latest(tidy=False)
    step = int(state.step.numpy())
    if step >= num_steps:
        raise ValueError(f"{workdir} is trained: step {step} of {num_steps}")

    with new_folder(folder) as temporary:
        iteration = lower.lower(config, state, text_encoder, image_encoder)
        (temporary / runner.STEP).write_bytes(iteration.serialized)
        np.savez(temporary / runner.CONSTANTS, **iteration.constants)
        values = [variable.numpy() for variable in lower.variables(state)]
        pending = PendingMetrics(checkpoints.read_note()).note()
        runner.write_state(temporary / runner.STATE, runner.Checkpoint(step, values, pending))
        caption_counts = _write_images(temporary, config, data_dir, num_images, text_encoder)
        _write_stream(temporary, config, caption_counts, step, num_steps)
        manifest = _manifest(config, workdir, step, num_steps, iteration)
        (temporary / runner.MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        shutil.copyfile(runner.__file__, temporary / RUNNER)
    return step


def read(folder: str | os.PathLike) -> tuple[str, int]:
    """Brings the newest state of a lowered run back into its run, as a checkpoint and lines of metrics.

    Args:
      folder: of the lowered run.

    Returns:
      The folder of the run, and the step of the new checkpoint.

    Raises:
      FileNotFoundError: there is no lowered run in the folder.
      ValueError: it has not been trained, or its state does not fit its config.
    """
    source = pathlib.Path(folder)
    if not (source / runner.MANIFEST).exists():
        raise FileNotFoundError(f"no lowered run in {source}: write one by --workdir and --output")
    manifest = text_files.read_json(source / runner.MANIFEST, dict[str, Any])
    config, workdir = config_json.from_json(json.dumps(manifest["config"])), manifest["workdir"]
    trained = runner.newest_checkpoint(source)
    if trained.step == manifest["first_step"]:
        raise ValueError(f"{source} has not been trained yet: run python {source / RUNNER}")
    check_workdir(workdir, config)
    state = TrainState(config)
    targets = lower.variables(state)
    if [value.shape for value in trained.state] != [tuple(target.shape) for target in targets]:
        raise ValueError(f"{source} does not hold the state of its config: it was written by another version")
    for target, value in zip(targets, trained.state):
        target.assign(value)
    os.makedirs(workdir, exist_ok=True)
    with held(workdir):
        claim_workdir(workdir, config)
        _append_metrics(source, workdir, manifest["first_step"], trained.step)
        Checkpoints(workdir, state, config.training.max_checkpoints, config.training.keep_every).save(trained.pending)
    return workdir, trained.step


def _manifest(
    config: Config, workdir: str, first_step: int, num_steps: int, iteration: lower.LoweredIteration
) -> dict[str, Any]:
    """Returns what `runner.py` has to know, as JSON values."""
    options = config.training
    return {
        "config": json.loads(config_json.to_json(config)),
        "workdir": os.path.abspath(workdir),
        "first_step": first_step,
        "num_steps": num_steps,
        "log_every": options.log_every,
        "images_per_step": options.images_per_iteration,
        "arguments": iteration.arguments,
        "metrics": iteration.metrics,
        "random_numbers": [
            {"distribution": draw.distribution, "shape": draw.shape, "key": _key(draw, options.seed)}
            for draw in random_numbers.draws(config)
        ],
    }


def _write_images(
    folder: pathlib.Path, config: Config, data_dir: str, num_images: int, text_encoder: TextEncoder
) -> np.ndarray:
    """Writes the decoded images, and the tokens of all their captions; returns how many captions each image has."""
    size = config.data.image_size
    shape = (num_images, size, size, 3)
    images = np.lib.format.open_memmap(folder / runner.IMAGES, mode="w+", dtype=np.uint8, shape=shape)
    examples = input_pipeline.all_examples(config.dataset, "train", data_dir, size, config.data.geometry)
    counts, tokens, done = [], [], 0
    with tqdm.tqdm(total=num_images, desc="decoding", unit="image", disable=None) as bar:
        for chunk in examples.ragged_batch(_CHUNK).prefetch(1):
            decoded = (
                chunk.image.to_tensor().numpy() if isinstance(chunk.image, tf.RaggedTensor) else chunk.image.numpy()
            )
            images[done : done + len(decoded)] = decoded
            counts.append(chunk.captions.row_lengths().numpy())
            tokens.append(text_encoder.tokenize(chunk.captions.flat_values))
            done += len(decoded)
            bar.update(len(decoded))  # `bar.n` cannot replace `done`: a disabled bar does not count.
    images.flush()
    joined = {name: np.concatenate([part[name].numpy() for part in tokens]) for name in tokens[0]}
    np.savez(folder / runner.CAPTIONS, **joined)
    return np.concatenate(counts)


def _write_stream(
    folder: pathlib.Path, config: Config, caption_counts: np.ndarray, first_step: int, num_steps: int
) -> None:
    """Writes image, caption and flip of every example: [steps, batches, batch, 3] int32."""
    options = config.training
    shape = (num_steps - first_step, options.batches_per_iteration, options.batch_size, 3)
    first_captions = np.cumsum(caption_counts) - caption_counts
    drawn = np.lib.format.open_memmap(folder / runner.STREAM, mode="w+", dtype=np.int32, shape=shape)
    rows = drawn.reshape(-1, 3)
    start = first_step * options.batches_per_iteration * options.batch_size
    for begin in range(0, len(rows), _POSITIONS):
        count = min(_POSITIONS, len(rows) - begin)
        positions = tf.range(start + begin, start + begin + count, dtype=tf.int64)
        numbers = stream.record_numbers(positions, len(caption_counts), options.seed).numpy()
        random = stream.random_numbers(options.seed, tf.constant(start + begin, tf.int64), count)
        captions = stream.caption_number(random, tf.constant(caption_counts[numbers])).numpy()
        flips = stream.is_flipped(random).numpy() & config.data.random_flip
        rows[begin : begin + count] = np.stack([numbers, first_captions[numbers] + captions, flips], axis=1)
    drawn.flush()


def _key(draw: random_numbers.Draw, seed: int) -> int:
    """Returns the half of a draw's seed that is the same in every step; the other half is the step."""
    (first, zero), (second, one) = (
        random_numbers.key(draw, seed, tf.constant(step, tf.int64)).numpy().tolist() for step in (0, 1)
    )
    if first != second or (zero, one) != (0, 1):
        raise ValueError("this TensorFlow makes the seeds of steps in another way: lower the run with another version")
    return first


def _append_metrics(source: pathlib.Path, workdir: str, first_step: int, last_step: int) -> None:
    """Adds the lines of metrics that the lowered run has logged to those of its run."""
    path = os.path.join(workdir, METRICS_FILE)
    drop_steps_after(path, first_step)
    kept = pathlib.Path(path).read_text(encoding="utf-8") if os.path.exists(path) else ""
    logged = (source / runner.METRICS).read_text(encoding="utf-8") if (source / runner.METRICS).exists() else ""
    new = [line for line in logged.splitlines(keepends=True) if first_step < json.loads(line)["step"] <= last_step]
    with replaced(path) as file:
        file.write(kept + "".join(new))
