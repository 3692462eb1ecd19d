"""A run whose numbers are no longer numbers is stopped."""

from __future__ import annotations

import math
import os

import numpy as np

from xmcgan.training.summaries import json_line


def stop_if_not_finite(workdir: str, first_step: int, metrics: dict[str, np.ndarray]) -> None:
    """Stops the run at the first step with a number that is none; the step's numbers are kept beside the metrics.

    Args:
      workdir: folder of the run.
      first_step: the step before these.
      metrics: {name: [steps]}.

    Raises:
      FloatingPointError: names the step, the metric and the file.
    """
    values = np.stack(list(metrics.values()), axis=1)  # [steps, metrics]
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    row = int(np.argmax(bad.any(axis=1)))
    step = first_step + row + 1
    path = os.path.join(workdir, f"not_finite_step_{step:07d}.json")
    numbers = dict(zip(metrics, values[row].tolist()))
    with open(f"{path}.incomplete", "w", encoding="utf-8") as file:
        file.write(json_line({"step": step, **numbers}))
    os.replace(f"{path}.incomplete", path)
    name, value = next((name, value) for name, value in numbers.items() if not math.isfinite(value))
    raise FloatingPointError(
        f"{name} is {value} at step {step}: the step's numbers are in {path}, checkpoints before it are intact: "
        "lower the learning rates, or try another --config.training.seed in a new --workdir"
    )
