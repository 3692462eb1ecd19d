"""A run whose numbers are no longer numbers is stopped."""

from __future__ import annotations

import math
import os
from typing import Callable

import numpy as np
from absl import logging

from xmcgan.training.summaries import json_line


def stop_if_not_finite(
    workdir: str,
    first_step: int,
    metrics: dict[str, np.ndarray],
    find_place: Callable[[int], str | None] | None = None,
) -> None:
    """Stops the run at the first step with a number that is none; the step's numbers are kept beside the metrics.

    Args:
      workdir: folder of the run.
      first_step: the step before these.
      metrics: {name: [steps]}.
      find_place: of the step, where in the networks it came from, see `diagnosis.finder`.

    Raises:
      FloatingPointError: names the step, the metric, the place and the file.
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
    place = _try(find_place, step) if find_place else None
    raise FloatingPointError(
        f"{name} is {value} at step {step}{f', first in {place}' if place else ''}: the step's numbers are in {path}, "
        "checkpoints before it are intact: lower the learning rates, or try another --config.training.seed in a new "
        "--workdir"
    )


def _try(find_place: Callable[[int], str | None], step: int) -> str | None:
    try:
        return find_place(step)
    except Exception as error:  # Whatever it is: what is to be told is the number.
        logging.warning("the layer could not be found: %s", error)
        return None
