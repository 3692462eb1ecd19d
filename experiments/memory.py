"""Whether a training run fits: GB on each device by part, predicted without running or allocating anything.

  python -m experiments.memory --dataset=coco2014 --replicas=8
  python -m experiments.memory --dataset=coco2014 --config.training.batch_size=16 --config.training.micro_batches=4
  python -m experiments.memory --dataset=coco2014 --config.training.batch_size=64 --fit=24
  python -m experiments.memory --dataset=scenes --measure

Weights, moments and batches follow from shapes; activations are found by tracing the training step and following each
tensor from where it is made to where it is last used, so that micro-batches, recomputation and precision count as the
step has them. This is what TensorFlow's allocator hands out at the worst moment; --measure runs the step here and
reads the allocator's own count: on a CPU, predictions were within 20 % of it. A process takes more: libraries, compiled
kernels, scratch memory of cuDNN, and gaps between what is allocated. BERT and the image encoder count with their
published sizes. Tracing takes a minute or so. The last line is JSON.
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
_FIT = flags.DEFINE_float("fit", None, "GB of a device: says with how many micro-batches the run fits.", lower_bound=0)
_MEASURE = flags.DEFINE_bool("measure", False, "Also run the step here, on one device, and say how far off that is.")
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Predicts, and measures where asked to."""
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
        os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "true"  # The one that counts.
        with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            measured = process.submit(step_memory.measure, config).result()
        alone = predicted if replicas == 1 else step_memory.predict(config)
        off = alone.step / measured - 1.0
        both = f"{measured / 1e9:.3f} GB measured, {alone.step / 1e9:.3f} predicted ({off:+.0%})"
        print(f"\nwhat comes and goes in the step, on one device: {both}")
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
    """The parts of a `step_memory.Prediction` by name, in bytes; only `held` and the larger step add up."""
    return {
        **predicted.held,
        "activations and gradients of a discriminator step": predicted.discriminator_step,
        "activations and gradients of the generator step": predicted.generator_step,
        **{f"of these, gradients of the {name}'s weights": size for name, size in predicted.gradients.items()},
        "of these, the word loss if it were alone": predicted.word_loss,
        "the word loss on sentences of other devices": predicted.other_sentences,
    }


def table(config: Config, replicas: int, predicted: step_memory.Prediction) -> str:
    """A `step_memory.Prediction` for people."""
    options = config.training
    title = (
        f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels} and "
        f"{config.discriminator.channels}, batch {options.batch_size} on {replicas} device(s), "
        f"{options.micro_batches} micro-batch(es), {'with' if options.recompute else 'no'} recomputation, "
        f"{options.precision}, {options.update_rule}"
    )
    rows = [(name, size / 1e9) for name, size in parts(predicted).items()]
    rows.append((f"all at the worst moment, which is at {predicted.worst[-60:]}", predicted.peak / 1e9))
    return f"{title}\n{tabulate.tabulate(rows, ['on each device', 'GB'], tablefmt='plain', floatfmt='.3f')}"


def _advice(fit: tuple[int, bool] | None) -> str:
    if fit is None:
        return "no number of micro-batches makes it fit"
    micro_batches, recompute = fit
    flags_of_fit = f"--config.training.micro_batches={micro_batches}"
    return f"{flags_of_fit}{' --config.training.recompute' if recompute else ''} fits"


if __name__ == "__main__":
    command_line.run(main)
