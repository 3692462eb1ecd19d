"""Memory and time of the word loss with its gradient: as the public JAX release computes it, and as the training does.

  python -m experiments.benchmarks.word_loss
  python -m experiments.benchmarks.word_loss --batch_size=16 --batch_size=64 --words=17 --max_gb=8

The public form has the aligned feature of every word of every sentence in every image; ours has not. Batches are
random, of the paper's sizes: 256 regions, 768 features. Every case runs in a process of its own. 'Memory' is that
process's peak beyond what it held before, without the batch. What a case needs is first predicted from its graph: one
that needs more than --max_gb does not run. At the smallest size, both forms are checked to agree in loss and gradient.
The last line is JSON. Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os
import typing

from absl import app, flags

from xmcgan import command_line

_BATCH_SIZE = flags.DEFINE_multi_integer("batch_size", [16, 64, 256], "Images and sentences; give it for each.")
_WORDS = flags.DEFINE_multi_integer("words", [17, 64], "Words of a sentence; give it for each.")
_REGIONS = flags.DEFINE_integer("regions", 256, "Regions of an image.", lower_bound=1)
_DIM = flags.DEFINE_integer("dim", 768, "Width of the features.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Timed runs of a case, of which the median counts.", lower_bound=1)
_MAX_GB = flags.DEFINE_float("max_gb", 16.0, "Cases that need more memory do not run.", lower_bound=0.0)

_TOLERANCE = 1e-4


def main(argv: list[str]) -> None:
    """Prints a line for each size, and the JSON line."""
    del argv
    if min(_BATCH_SIZE.value) < 2 or min(_WORDS.value) < 2:
        raise app.UsageError("--batch_size and --words must be 2 or more")
    import multiprocessing

    from experiments.benchmarks import word_loss_forms
    from experiments.benchmarks.word_loss_forms import Sizes

    context = multiprocessing.get_context("spawn")
    cases = [Sizes(m, t, _REGIONS.value, _DIM.value) for m in _BATCH_SIZE.value for t in _WORDS.value]
    apart, needed = word_loss_forms.in_fresh_process(context, word_loss_forms.foresee, cases)
    if max(apart.values()) > _TOLERANCE:
        raise AssertionError(f"the two forms do not agree: {apart}")
    print(
        f"{_REGIONS.value} regions, {_DIM.value} features, float32, {os.cpu_count()} cores; both forms agree to "
        f"{apart['loss']:.0e} (loss) and {apart['gradient']:.0e} (gradient)"
    )
    print(f"{'M':>4}{'T':>4}{'public':>26}{'ours':>26}{'public / ours':>22}")
    results = []
    for number, sizes in enumerate(cases):
        result: dict[str, typing.Any] = {"batch_size": sizes.batch, "words": sizes.words}
        for form in word_loss_forms.FORMS:
            result[form] = {"predicted_gb": needed[form][number]}
            if needed[form][number] <= _MAX_GB.value:
                result[form].update(word_loss_forms.measure(form, sizes, _ROUNDS.value))
        results.append(result)
        print(_row(result), flush=True)
    print(json.dumps({"agree": apart, "max_gb": _MAX_GB.value, "cores": os.cpu_count(), "cases": results}))


def _row(result: dict[str, typing.Any]) -> str:
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


if __name__ == "__main__":
    command_line.run(main)
