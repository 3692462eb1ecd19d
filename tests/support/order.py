"""The order of the files of tests, so that several processes end together."""

from __future__ import annotations

import os

import pytest

# The files that take longest, in tests/. A process that is free takes the next file. Among the first ones, those that
# make the folders that others need (see `shared.make_once`) stand between those that need none.
_FIRST = (
    "eval/test_run_evaluation.py",
    "xmcgan/training/test_distribution.py",
    "experiments/ablation/test_ablation_steps.py",
    "xmcgan/training/test_micro_batches.py",
    "xmcgan/training/test_precision.py",
    "xmcgan/serving/test_export.py",
    "xmcgan/training/test_loop.py",
    "eval/networks/test_inception.py",
    "eval/scenes/test_scene_recognizer.py",
    "xmcgan/display/test_demo_page.py",
    "xmcgan/test_text_to_image.py",
    "data_pipelines/test_precompute_text.py",
    "data_pipelines/test_input_pipeline.py",
    "eval/retrieval/test_dual_encoder.py",
    "data_pipelines/inspection/test_sheet.py",
    "xmcgan/training/test_step.py",
    "eval/test_sources.py",
    "xmcgan/models/test_text_encoder.py",
    "data_pipelines/scenes/test_narrative_layouts.py",
    "experiments/paper_figures/test_figures.py",
    "data_pipelines/test_bert.py",
    "xmcgan/training/test_checkpoints.py",
    "xmcgan/training/test_presets.py",
    "xmcgan/models/test_image_encoder.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would begin with the files that have the most tests.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    ranks = {f"tests/{name}": rank for rank, name in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.split("::")[0], len(ranks)))
