"""Trains a lowered run with JAX, where there is no TensorFlow: needs only jax and numpy.

  python runs/lowered/run.py                  # in a folder that `python -m experiments.lowered` wrote
  python runs/lowered/run.py --steps=1000     # stop after step 1,000

Every step trains on the images, captions and noise of the same step of `python -m xmcgan.train`. Writes
metrics.jsonl and checkpoints into its folder; killed and started again, it goes on from the last checkpoint and yields
the same numbers. SIGTERM and Ctrl-C save the run first. `python -m experiments.lowered --read=FOLDER` then brings the
trained state back. This file is copied into the folder, so it must not import anything of this project.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

STATE, STEP, CONSTANTS, IMAGES, CAPTIONS, STREAM = (
    "state.npz", "step.jax", "constants.npz", "images.npy", "captions.npz", "stream.npy",
)  # fmt: skip
MANIFEST, METRICS, CHECKPOINTS = "manifest.json", "metrics.jsonl", "checkpoints"
KEPT_CHECKPOINTS = 2
_PHILOX_MULTIPLIERS, _PHILOX_KEY_STEPS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_PHILOX_ROUNDS = 10
_MASK = np.uint64(0xFFFFFFFF)


class Checkpoint(NamedTuple):
    """The state after a step."""

    step: int
    state: list[np.ndarray]  # In the order of the manifest.
    # The sums of the metrics since the last logged step, and the number of steps in them.
    pending: dict[str, Any]


def main() -> None:
    """Trains the run whose folder holds this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="last step to train; all of them by default")
    parser.add_argument("--checkpoint_every", type=int, default=500, help="steps between checkpoints")
    options = parser.parse_args()
    folder = pathlib.Path(__file__).resolve().parent
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.append(number))
    try:
        status = train(folder, options.steps, max(1, options.checkpoint_every), received)
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    sys.exit(status)


def train(
    folder: pathlib.Path, last: int | None = None, checkpoint_every: int = 500, received: Sequence[int] = ()
) -> int:
    """Trains up to a step, from the last checkpoint.

    Args:
      folder: of the lowered run.
      last: the last step to train; by default the run's last one.
      checkpoint_every: steps between checkpoints.
      received: the signals received so far; after the first one, the run is saved and stops.

    Returns:
      The exit status: 0, or 128 + the number of the signal that stopped the run.

    Raises:
      FloatingPointError: a metric is no longer finite.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    last = min(last or manifest["num_steps"], manifest["num_steps"])
    checkpoint = newest_checkpoint(folder)
    iteration = load_iteration(folder, manifest)
    sums, pending_steps = dict(checkpoint.pending["sums"]), checkpoint.pending["steps"]
    _drop_lines_after(folder / METRICS, checkpoint.step - pending_steps)
    step, state = checkpoint.step, checkpoint.state
    logged_step, logged_at = step, time.monotonic()
    waiting: list[dict[str, Any]] = []
    print(f"from step {step} to {last}; compiling", flush=True)
    for inputs in batches(folder, manifest, step, last):
        metrics, state = iteration(inputs, state)
        waiting.append(metrics)  # Read only when they are logged, so that the device never waits.
        step += 1
        logs = step % manifest["log_every"] == 0 or step == manifest["num_steps"]
        saves = step % checkpoint_every == 0 or step == last or bool(received)
        if not (logs or saves):
            continue
        for values in waiting:
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        pending_steps += len(waiting)
        waiting.clear()
        _check_finite(sums, step)
        if logs:
            speed = (step - logged_step) * manifest["images_per_step"] / max(time.monotonic() - logged_at, 1e-9)
            _log(folder, manifest, step, {name: total / pending_steps for name, total in sums.items()}, speed)
            sums, pending_steps, logged_step, logged_at = {}, 0, step, time.monotonic()
        if saves:
            pending = {"steps": pending_steps, "sums": sums}
            save_checkpoint(folder, Checkpoint(step, [np.asarray(value) for value in state], pending))
        if received and step < last:
            print(f"stopped at step {step}, which is saved: the same command goes on there", file=sys.stderr)
            return 128 + received[0]
    print(f"step {step} of {manifest['num_steps']} is saved in {folder / CHECKPOINTS}")
    return 0


def load_iteration(folder: pathlib.Path, manifest: dict[str, Any]) -> Any:
    """Loads and compiles the iteration.

    Args:
      folder: of the lowered run.
      manifest: its manifest.

    Returns:
      A function of the inputs (see `batches`) and the state. It returns the metrics, scalars by name, and the new
      state; both stay on the device.
    """
    import jax
    from jax import export

    jax.config.update("jax_enable_x64", True)  # For the 64-bit counters of steps.
    exported = export.deserialize(bytearray((folder / STEP).read_bytes()))
    with np.load(folder / CONSTANTS) as stored:
        constants = {name: jax.device_put(stored[name]) for name in stored.files}
    slots, names = manifest["arguments"], manifest["metrics"]

    def call(inputs: list[Any], state: list[Any], constants: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        values = [state[slot["state"]] if "state" in slot else constants[slot["constant"]] for slot in slots]
        outputs = exported.call(*inputs, *values)
        return dict(zip(names, outputs)), list(outputs[len(names) :])

    compiled = jax.jit(call, donate_argnums=1)
    return lambda inputs, state: compiled(inputs, state, constants)


def batches(folder: pathlib.Path, manifest: dict[str, Any], first: int, last: int) -> Iterator[list[np.ndarray]]:
    """Yields the inputs of the iterations `first` to `last` - 1, in the order of the iteration's arguments.

    Args:
      folder: of the lowered run.
      manifest: its manifest.
      first: iteration, counted from 0.
      last: iteration.

    Yields:
      For every batch its images [batch, size, size, 3] uint8 and its tokens, and then the random numbers.
    """
    images = np.load(folder / IMAGES, mmap_mode="r")
    stream = np.load(folder / STREAM, mmap_mode="r")  # [steps, batches, batch, 3]
    with np.load(folder / CAPTIONS) as stored:
        captions = {name: stored[name] for name in stored.files}
    for step in range(first, last):
        inputs = []
        for drawn in stream[step - manifest["first_step"]]:
            numbers, rows, flips = drawn.T
            batch = {name: values[rows] for name, values in captions.items()}
            batch["image"] = images[numbers]
            batch["image"][flips == 1] = batch["image"][flips == 1, :, ::-1]
            inputs += [batch[name] for name in sorted(batch)]
        for draw in manifest["random_numbers"]:
            function = {"normal": normal, "uniform": uniform}[draw["distribution"]]
            inputs.append(function(draw["key"], step, draw["shape"]))
        yield inputs


def newest_checkpoint(folder: pathlib.Path) -> Checkpoint:
    """Reads the newest checkpoint, or the state that the run starts with."""
    paths = _checkpoints(folder)
    with np.load(paths[-1] if paths else folder / STATE) as stored:
        state = [stored[f"{index:05d}"] for index in range(len(stored.files) - 2)]
        return Checkpoint(int(stored["step"]), state, json.loads(str(stored["pending"])))


def save_checkpoint(folder: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, which appears only when it is complete, and removes old ones."""
    (folder / CHECKPOINTS).mkdir(exist_ok=True)
    write_state(folder / CHECKPOINTS / f"step-{checkpoint.step}.npz", checkpoint)
    for path in _checkpoints(folder)[:-KEPT_CHECKPOINTS]:
        path.unlink()


def write_state(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """Writes a file that `newest_checkpoint` reads; it replaces an older one only when it is complete."""
    arrays = {f"{index:05d}": value for index, value in enumerate(checkpoint.state)}
    temporary = path.with_name(f"{path.name}.incomplete")
    with open(temporary, "wb") as file:
        np.savez(file, step=checkpoint.step, pending=json.dumps(checkpoint.pending), **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def normal(key: int, step: int, shape: list[int]) -> np.ndarray:
    """Returns the numbers of `tf.random.stateless_normal` for the seed [key, step], to the last bits.

    Args:
      key: first half of the seed, a signed 64-bit integer.
      step: second half.
      shape: of the result.

    Returns:
      float32.
    """
    pairs = _unit_interval(_philox_stream(key, step, math.prod(shape))).reshape(-1, 2)
    radius = np.sqrt(np.float32(-2.0) * np.log(np.maximum(pairs[:, 0], np.float32(1e-7))))
    angle = (2.0 * math.pi * pairs[:, 1].astype(np.float64)).astype(np.float32)  # As TensorFlow rounds it.
    numbers = np.stack([np.sin(angle), np.cos(angle)], axis=1) * radius[:, np.newaxis]  # The Box-Muller transform.
    return numbers.reshape(-1)[: math.prod(shape)].reshape(shape)


def uniform(key: int, step: int, shape: list[int]) -> np.ndarray:
    """Returns the numbers of `tf.random.stateless_uniform` for the seed [key, step]; see `normal`."""
    return _unit_interval(_philox_stream(key, step, math.prod(shape)))[: math.prod(shape)].reshape(shape)


def _philox_stream(key: int, step: int, count: int) -> np.ndarray:
    """Returns random bits as TensorFlow draws them, at least `count` numbers, uint32."""
    seed = np.array([key, step], np.int64).view(np.uint32)
    # TensorFlow mixes the seed first, so that every bit of it counts.
    mixed = _philox(seed[np.newaxis], np.array([0x3EC8F720, 0x02461E29], np.uint32))[0]
    groups = -(-count // 4)
    counters = np.zeros([groups, 4], np.uint32)
    counters[:, 2:] = mixed[2:]
    counters[:, 0] = np.arange(groups)
    return _philox(counters, mixed[:2]).reshape(-1)


def _philox(counters: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Computes Philox 4x32-10 (Salmon et al. 2011): [groups, 4] and [2] uint32 -> [groups, 4] uint32."""
    c0, c1, c2, c3 = (column.astype(np.uint64) for column in counters.T)
    k0, k1 = (int(half) for half in key)
    for _ in range(_PHILOX_ROUNDS):
        first, second = np.uint64(_PHILOX_MULTIPLIERS[0]) * c0, np.uint64(_PHILOX_MULTIPLIERS[1]) * c2
        c0, c1, c2, c3 = (
            (second >> np.uint64(32)) ^ c1 ^ np.uint64(k0), second & _MASK,
            (first >> np.uint64(32)) ^ c3 ^ np.uint64(k1), first & _MASK,
        )  # fmt: skip
        k0, k1 = ((half + step) & 0xFFFFFFFF for half, step in zip((k0, k1), _PHILOX_KEY_STEPS))
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def _unit_interval(bits: np.ndarray) -> np.ndarray:
    """Turns 23 of 32 random bits into the mantissa of a float32 in [0, 1)."""
    return ((bits & np.uint32(0x7FFFFF)) | np.uint32(127 << 23)).view(np.float32) - np.float32(1.0)


def _checkpoints(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / CHECKPOINTS).glob("step-*.npz"), key=lambda path: int(path.stem.partition("-")[2]))


def _check_finite(sums: dict[str, float], step: int) -> None:
    for name, total in sums.items():
        if not math.isfinite(total):
            raise FloatingPointError(f"{name} is not finite at step {step} or shortly before: lower the learning rates")


def _log(folder: pathlib.Path, manifest: dict[str, Any], step: int, means: dict[str, float], speed: float) -> None:
    with open(folder / METRICS, "a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **means, "images_per_second": speed}, allow_nan=False) + "\n")
    shown = "  ".join(f"{name} {means[name]:.4g}" for name in ("d/loss", "g/loss") if name in means)
    print(f"step {step}/{manifest['num_steps']}  {shown}  {speed:.1f} images/s", flush=True)


def _drop_lines_after(path: pathlib.Path, step: int) -> None:
    """Removes the lines of later steps, which will be logged again."""
    if path.exists():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        kept = "".join(line for line in lines if json.loads(line)["step"] <= step)
        temporary = path.with_name(f"{path.name}.incomplete")
        temporary.write_text(kept, encoding="utf-8")
        os.replace(temporary, path)


if __name__ == "__main__":
    main()
