"""Predicts the memory of a training run on each device, by part, without running or allocating anything.

  python -m experiments.memory --dataset=coco2014 --replicas=8
  python -m experiments.memory --dataset=coco2014 --config.training.batch_size=16 --config.training.micro_batches=4
  python -m experiments.memory --dataset=coco2014 --config.training.batch_size=64 --fit=24
  python -m experiments.memory --dataset=scenes --measure

The sizes of weights, Adam's moments and batches follow from their shapes. Activations are found by tracing the training
step and following each tensor from the operation that makes it to its last use, so micro-batches, recomputation and
precision are taken into account. The result is the peak that TensorFlow's allocator would count. --measure also runs
the step on this machine and reads the allocator's statistics. In four measured cases, all on a CPU, the prediction was
off by -14 to +20 %; it has not been compared with a GPU. The process takes more than that: libraries, compiled kernels,
cuDNN's workspace and fragmentation. BERT and the image encoder are assumed to have their published sizes. Tracing takes
about a minute. The last line is JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent import futures

import tabulate
from absl import flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line
from xmcgan.config import Config

with epy.lazy_imports():
    from experiments.footprint import step_memory
    from xmcgan.training import cluster

_REPLICAS = flags.DEFINE_integer("replicas", 1, "Devices that share the batch.", lower_bound=1)
_FIT = flags.DEFINE_float("fit", None, "GB of a device: finds the micro-batches for the run to fit.", lower_bound=0)
_MEASURE = flags.DEFINE_bool("measure", False, "Also run the step on one device here, and compare.")
command_line.define_data_dir()
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Prints the prediction and, if asked for, the measurement."""
    del argv
    config = command_line.get_config()
    replicas = _REPLICAS.value
    cluster.check_divides(config.training.batch_size, replicas, config.training.micro_batches)
    predicted = step_memory.predict(config, replicas)
    print(table(config, replicas, predicted))
    result = {
        "gb": {name: size / 1e9 for name, size in parts(predicted).items()},
        "peak_gb": predicted.peak / 1e9,
        "step_gb": predicted.step / 1e9,
        "replicas": replicas,
    }
    if _MEASURE.value:
        os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"  # This allocator keeps statistics.
        with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            measured = process.submit(step_memory.measure, config).result()
        alone = predicted if replicas == 1 else step_memory.predict(config)
        off = alone.step / measured - 1.0
        both = f"{measured / 1e9:.3f} GB measured, {alone.step / 1e9:.3f} predicted ({off:+.0%})"
        print(f"\ntemporary memory of the step, on one device: {both}")
        result.update(measured_step_gb=measured / 1e9, error=off)
    if _FIT.value is not None:
        known = {(config.training.micro_batches, config.training.recompute): predicted}

        def predict(each: Config) -> step_memory.Prediction:
            variant = (each.training.micro_batches, each.training.recompute)
            return known[variant] if variant in known else step_memory.predict(each, replicas)

        fit = step_memory.smallest_fit(config, _FIT.value * 1e9, predict)
        print(f"\n{_advice(fit)} in {_FIT.value:g} GB")
        result["fit"] = {"micro_batches": fit[0], "recompute": fit[1]} if fit else None
    print(json.dumps(result))


def parts(predicted: step_memory.Prediction) -> dict[str, int]:
    """Returns the parts of a prediction by name, in bytes; only `held` and the larger step add up to the peak."""
    return {
        **predicted.held,
        "activations and gradients of a discriminator step": predicted.discriminator_step,
        "activations and gradients of the generator step": predicted.generator_step,
        **{f"of these, gradients of the {name}'s weights": size for name, size in predicted.gradients.items()},
        "of these, the word loss if it were alone": predicted.word_loss,
        "the word loss on sentences of other devices": predicted.other_sentences,
    }


def table(config: Config, replicas: int, predicted: step_memory.Prediction) -> str:
    """Formats a prediction for the terminal."""
    options = config.training
    title = (
        f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels} and "
        f"{config.discriminator.channels}, batch {options.batch_size} on {replicas} device(s), "
        f"{options.micro_batches} micro-batch(es), {'with' if options.recompute else 'no'} recomputation, "
        f"{options.precision}, {options.update_rule}"
    )
    rows = [(name, size / 1e9) for name, size in parts(predicted).items()]
    rows.append((f"total at the peak, which is at {predicted.worst[-60:]}", predicted.peak / 1e9))
    return f"{title}\n{tabulate.tabulate(rows, ['on each device', 'GB'], tablefmt='plain', floatfmt='.3f')}"


def _advice(fit: tuple[int, bool] | None) -> str:
    if fit is None:
        return "no number of micro-batches makes it fit"
    micro_batches, recompute = fit
    needed_flags = f"--config.training.micro_batches={micro_batches}"
    return f"{needed_flags}{' --config.training.recompute' if recompute else ''} fits"


if __name__ == "__main__":
    command_line.run(main)
