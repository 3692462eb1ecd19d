"""The loop's batches on the replicas of one host and of two, against the plain stream."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from data_pipelines import input_pipeline
from tests.support import free_cluster, shared_batches
from tests.support.commands import Command
from tests.support.processes import finish


@pytest.fixture(scope="module")
def expected(scenes_dir):
    config = shared_batches.experiment()
    stream = input_pipeline.training_batches(
        "scenes",
        scenes_dir,
        batch_size=shared_batches.BATCH,
        image_size=config.data.image_size,
        random_flip=True,
        start_batch=shared_batches.FIRST_STEP * config.training.batches_per_iteration,
    )
    batches = list(itertools.islice(stream.as_numpy_iterator(), shared_batches.BATCHES))
    lengths = [[len(caption) for caption in batch.caption] for batch in batches]
    return {"image": np.stack([batch.image for batch in batches]), "length": np.asarray(lengths)}


def _run(data_dir, output, environment):
    return Command("tests.support.shared_batches", data_dir, output, environment=environment)


def _rows(process, output):
    finish(process)
    with np.load(output) as arrays:
        return dict(arrays)


def test_two_replicas_of_a_host_take_the_rows_in_order(expected, scenes_dir, tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    rows = _rows(_run(scenes_dir, tmp_path / "rows.npz", environment), tmp_path / "rows.npz")
    for name, values in expected.items():
        np.testing.assert_array_equal(rows[name], values)


def test_two_hosts_of_two_replicas_take_the_rows_in_order(expected, scenes_dir, tmp_path):
    outputs = [tmp_path / f"{number}.npz" for number in range(2)]
    environments = free_cluster.environments(2)
    processes = [_run(scenes_dir, output, environment) for output, environment in zip(outputs, environments)]
    of_hosts = [_rows(process, output) for process, output in zip(processes, outputs)]
    for name, values in expected.items():
        np.testing.assert_array_equal(np.concatenate([rows[name] for rows in of_hosts], axis=1), values)
