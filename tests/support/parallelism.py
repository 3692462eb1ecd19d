"""Checks that tf.data keeps its parallelism where operations are deterministic, by what TensorFlow logs."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.processes import ROOT

_START, _END = "THE PIPELINE STARTS HERE", "THE PIPELINE ENDS HERE"
_SCRIPT = """
import tensorflow as tf
tf.config.experimental.enable_op_determinism()
{setup}
print("{start}", flush=True)
{pipeline}
print("{end}", flush=True)
random = tf.data.Dataset.range(2).map(lambda _: tf.random.uniform([], seed=1), num_parallel_calls=2)
next(iter(random))
"""


def check_stays_parallel(setup: str, pipeline: str) -> None:
    """Asserts that tf.data makes nothing of a pipeline sequential.

    Training asks for deterministic operations. From a `map` that draws random numbers, tf.data then takes all
    parallelism, and logs it; such a map runs at the end, so that a changed log does not pass for a good pipeline.

    Args:
      setup: Python statements, run before the log is read.
      pipeline: Python statements that read from the pipeline.
    """
    script = _SCRIPT.format(setup=setup, pipeline=pipeline, start=_START, end=_END)
    output = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "make_deterministic=2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout
    ours, other = output.split(_START)[1].split(_END)
    assert "make_deterministic.cc" not in ours
    assert "make_deterministic.cc" in other, "the log has changed: this test sees nothing"
