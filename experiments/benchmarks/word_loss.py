"""Compares memory and time of the word loss and its gradient with the implementation in the public JAX release.

  python -m experiments.benchmarks.word_loss
  python -m experiments.benchmarks.word_loss --batch_size=16 --batch_size=64 --words=17 --max_gb=8

The public implementation computes the aligned feature of every word of every sentence in every image; ours does not.
Batches are random, with the paper's sizes: 256 regions and 768 features. Every case runs in its own process. 'Memory'
is the growth of that process to its peak, without the batch. The memory of a case is first predicted from its graph; a
case that needs more than --max_gb does not run. At the smallest size, both implementations are checked to agree in loss
and gradient. The last line is JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Sequence
from concurrent import futures
from typing import Any, Callable, NamedTuple

import psutil
from absl import app, flags
from etils import epy

from xmcgan import command_line
from xmcgan.config import LossConfig

with epy.lazy_imports():
    import tensorflow as tf

    from experiments.footprint import liveness
    from xmcgan.losses import contrastive, word_scores

_BATCH_SIZE = flags.DEFINE_multi_integer("batch_size", [16, 64, 256], "Images and sentences")
_WORDS = flags.DEFINE_multi_integer("words", [17, 64], "Words of a sentence")
_REGIONS = flags.DEFINE_integer("regions", 256, "Regions of an image.", lower_bound=1)
_DIM = flags.DEFINE_integer("dim", 768, "Width of the features.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of a case, for the median.", lower_bound=1)
_MAX_GB = flags.DEFINE_float("max_gb", 16.0, "Cases that need more memory do not run.", lower_bound=0.0)

_TOLERANCE = 1e-4
_MMAP_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"  # glibc reads it when a process starts.
_EPSILON = 1e-12
_MASKED = -1e9
_OPTIONS = LossConfig()

# (regions, words, lengths) -> scores, [images, sentences].
Scores = Callable[..., "tf.Tensor"]


def main(argv: list[str]) -> None:
    """Prints a line for each size, and the JSON line."""
    del argv
    if min(_BATCH_SIZE.value) < 2 or min(_WORDS.value) < 2:
        raise app.UsageError("--batch_size and --words must be 2 or more")
    context = multiprocessing.get_context("spawn")
    cases = [Sizes(m, t, _REGIONS.value, _DIM.value) for m in _BATCH_SIZE.value for t in _WORDS.value]
    errors, needed = in_fresh_process(context, check_and_predict, cases)
    if max(errors.values()) > _TOLERANCE:
        raise AssertionError(f"the two implementations do not agree: {errors}")
    print(
        f"{_REGIONS.value} regions, {_DIM.value} features, float32, {os.cpu_count()} cores; both implementations agree "
        f"to {errors['loss']:.0e} (loss) and {errors['gradient']:.0e} (gradient)"
    )
    print(f"{'M':>4}{'T':>4}{'public':>26}{'ours':>26}{'public / ours':>22}")
    results = []
    for number, sizes in enumerate(cases):
        result: dict[str, Any] = {"batch_size": sizes.batch, "words": sizes.words}
        for form in FORMS:
            result[form] = {"predicted_gb": needed[form][number]}
            if needed[form][number] <= _MAX_GB.value:
                result[form].update(measure(form, sizes, _ROUNDS.value))
        results.append(result)
        print(_row(result), flush=True)

    print(json.dumps({"agree": errors, "max_gb": _MAX_GB.value, "cores": os.cpu_count(), "cases": results}))


def _row(result: dict[str, Any]) -> str:
    public, ours = result["public"], result["ours"]
    if "seconds" in public and "seconds" in ours:
        memory, seconds = (public[key] / max(ours[key], 1e-9) for key in ("peak_gb", "seconds"))
        ratios = f"{memory:.1f} x GB, {seconds:.1f} x s"
    else:
        ratios = "-"
    return f"{result['batch_size']:>4}{result['words']:>4}{_cell(public):>26}{_cell(ours):>26}{ratios:>22}"


def _cell(case: dict[str, float]) -> str:
    if "seconds" not in case:
        return f"not run: needs {case['predicted_gb']:.0f} GB"
    return f"{case['peak_gb']:.2f} GB, {case['seconds']:.2f} s"


class Sizes(NamedTuple):
    """The sizes of a batch of the word loss."""

    batch: int  # M, the number of images and of sentences
    words: int  # T, the words of a sentence
    regions: int = 256  # R, the regions of an image
    dim: int = 768  # The width of the features


def with_contexts(regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Computes the scores of all pairs with the aligned feature of every word in every image.

    Args:
      regions: [images, regions, dim].
      words: [sentences, words, dim].
      lengths: [sentences], the number of words without padding.

    Returns:
      [images, sentences].
    """
    unit_words = tf.math.l2_normalize(words, axis=-1, epsilon=_EPSILON)
    unit_regions = tf.math.l2_normalize(regions, axis=-1, epsilon=_EPSILON)
    cosine = tf.einsum("mrd,ntd->mntr", unit_regions, unit_words)
    attention = tf.nn.softmax(_OPTIONS.rho_1 * cosine)
    contexts = tf.einsum("mntr,mrd->mntd", attention, regions)
    unit_contexts = tf.math.l2_normalize(contexts, axis=-1, epsilon=_EPSILON)
    alignment = tf.reduce_sum(unit_contexts * unit_words[None], axis=-1)  # [images, sentences, words]
    mask = tf.sequence_mask(lengths, words.shape[1])[None]
    logits = tf.where(mask, _OPTIONS.rho_2 * alignment, _MASKED)
    return tf.reduce_logsumexp(logits, axis=-1) / _OPTIONS.rho_2


def ours(regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Computes the scores of all pairs as the training does; see `with_contexts`."""
    return word_scores.word_region_scores(
        regions, words, lengths, rho_1=_OPTIONS.rho_1, rho_2=_OPTIONS.rho_2, trim=True
    )


def ours_with_padding(regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Computes the same as `ours` with static shapes, as XLA and TPUs need it."""
    return word_scores.word_region_scores(regions, words, lengths, rho_1=_OPTIONS.rho_1, rho_2=_OPTIONS.rho_2)


FORMS: dict[str, Scores] = {"public": with_contexts, "ours": ours}
_WITH_KNOWN_SHAPES: dict[str, Scores] = {"public": with_contexts, "ours": ours_with_padding}


def loss_and_gradient(scores: Scores, sizes: Sizes) -> tf.types.experimental.ConcreteFunction:
    """Traces the loss and its gradient with respect to the regions.

    Args:
      scores: the implementation of the scores.
      sizes: the sizes of the batch.

    Returns:
      A function (regions, words, lengths) -> (loss, gradient).
    """

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([sizes.batch, sizes.regions, sizes.dim]),
            tf.TensorSpec([sizes.batch, sizes.words, sizes.dim]),
            tf.TensorSpec([sizes.batch], tf.int32),
        ],
    )
    def compute(regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(regions)
            loss = contrastive.info_nce(
                scores(regions, words, lengths), temperature=_OPTIONS.word_temperature, both_directions=True
            ).loss
        return loss, tape.gradient(loss, regions)

    return compute.get_concrete_function()


def random_batch(sizes: Sizes) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns random regions, words and lengths; words and regions of a pair have a small component in common.

    The lengths are 60 to 100 % of `sizes.words`, 80 % on average, like those of COCO's captions with 17 tokens.
    """
    topic = 0.1 * tf.random.stateless_normal([sizes.batch, 1, sizes.dim], [0, 0])
    regions = topic + tf.random.stateless_normal([sizes.batch, sizes.regions, sizes.dim], [0, 1])
    words = topic + tf.random.stateless_normal([sizes.batch, sizes.words, sizes.dim], [0, 2])
    return regions, words, sizes.words - tf.range(sizes.batch) % (2 * sizes.words // 5 + 1)


def needed_gb(cases: Sequence[Sizes]) -> dict[str, list[float]]:
    """Predicts each implementation's peak memory without the batch, in all cases, from its graph (see `liveness`)."""
    return {
        form: [liveness.peak_of_function(loss_and_gradient(scores, sizes)).bytes / 1e9 for sizes in cases]
        for form, scores in _WITH_KNOWN_SHAPES.items()
    }


def differences(sizes: Sizes) -> dict[str, float]:
    """Returns the errors between the implementations, relative to the loss and to the gradient's largest entry."""
    batch = random_batch(sizes)
    results = {form: loss_and_gradient(scores, sizes)(*batch) for form, scores in FORMS.items()}
    (loss, gradient), (our_loss, our_gradient) = results["public"], results["ours"]
    return {
        "loss": float(tf.abs(loss - our_loss) / tf.abs(loss)),
        "gradient": float(tf.reduce_max(tf.abs(gradient - our_gradient)) / tf.reduce_max(tf.abs(gradient))),
    }


def check_and_predict(cases: Sequence[Sizes]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Returns `differences` at the smallest size and `needed_gb` of all cases, to know before a large case runs."""
    return differences(min(cases)), needed_gb(cases)


def measure(form: str, sizes: Sizes, rounds: int) -> dict[str, float]:
    """Measures time and memory of one implementation, each in its own process.

    Args:
      form: a key of FORMS.
      sizes: the sizes of the batch.
      rounds: timed runs, after an untimed one.

    Returns:
      'seconds' of the median run; 'peak_gb', the growth of the process from before the first run to its peak, with the
      gradient and without the batch.
    """
    context = multiprocessing.get_context("spawn")
    seconds = in_fresh_process(context, _measure, form, sizes, rounds)["seconds"]
    # Make freed memory go back to the system at once, or gaps that the C library keeps would be counted. This is slow,
    # so the time is measured without it.
    before = os.environ.get(_MMAP_THRESHOLD)
    os.environ[_MMAP_THRESHOLD] = str(2**18)
    try:
        return {"seconds": seconds, "peak_gb": in_fresh_process(context, _measure, form, sizes, 1)["peak_gb"]}
    finally:
        os.environ.pop(_MMAP_THRESHOLD)
        if before is not None:
            os.environ[_MMAP_THRESHOLD] = before


def _measure(form: str, sizes: Sizes, rounds: int) -> dict[str, float]:
    """Measures time and memory in this process, which has run no other case."""
    # A small run first, so that the libraries' threads and caches are not counted.
    small = Sizes(2, 3, 16, 32)
    loss_and_gradient(FORMS[form], small)(*random_batch(small))
    batch = random_batch(sizes)
    run = loss_and_gradient(FORMS[form], sizes)
    before = psutil.Process().memory_info().rss
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        loss, gradient = run(*batch)
        loss.numpy(), gradient[0, 0, 0].numpy()
        seconds.append(time.perf_counter() - start)
        del gradient
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": statistics.median(seconds[1:]), "peak_gb": (peak - before) / 1e9}


def in_fresh_process(context, function: Callable, *arguments: Any) -> Any:
    """Calls a function of this module in a fresh process.

    Args:
      context: a context of multiprocessing that starts fresh processes.
      function: the function.
      *arguments: its arguments.

    Raises:
      MemoryError: the system ended the process.
    """
    with futures.ProcessPoolExecutor(1, context) as process:
        try:
            return process.submit(function, *arguments).result()
        except futures.process.BrokenProcessPool as error:
            raise MemoryError("the process was killed, most likely because memory ran out") from error


if __name__ == "__main__":
    command_line.run(main)
