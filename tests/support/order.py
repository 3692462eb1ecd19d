"""The order of the files of tests, so that several processes end together."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support.commands import start_server

# The files that take longest, in tests/. A process that is free takes the next file. While one process
# makes the folders that others need (see `shared.make_once`), the others begin with files that need none.
_FIRST = (
    "xmcgan/serving/test_export.py",  # With all of _DRAWING
    "xmcgan/training/test_distribution.py",
    "experiments/ablation/test_ablation_steps.py",
    "xmcgan/training/test_loop.py",
    "eval/test_run_evaluation.py",
    "data_pipelines/test_precompute_text.py",
    "data_pipelines/test_input_pipeline.py",
    "xmcgan/training/test_step.py",
    "xmcgan/training/test_checkpoints.py",
    "xmcgan/training/test_micro_batches.py",
    "xmcgan/serving/test_inference_weights.py",
    "eval/retrieval/test_dual_encoder.py",
    "xmcgan/models/test_image_encoder.py",
    "xmcgan/training/test_precision.py",
    "eval/networks/test_inception.py",
    "eval/networks/test_detector.py",
    "data_pipelines/inspection/test_sheet.py",
    "data_pipelines/scenes/test_narrative_layouts.py",
    "data_pipelines/test_convert_beam.py",
    "data_pipelines/test_convert_ln_openimages.py",
    "data_pipelines/test_bert.py",
    "xmcgan/training/test_initial_weights.py",
    "xmcgan/test_command_line.py",
    "experiments/test_reference_parity.py",
    "xmcgan/models/test_spectral_norm.py",
    "xmcgan/models/test_text_encoder.py",
)

# Files whose tests draw with the same run and its export: each process that has some of them loads and traces both, so
# one process has them all, one file after the other.
_DRAWING = (
    "xmcgan/serving/test_export.py",
    "xmcgan/serving/test_warm_up.py",
    "xmcgan/display/test_demo_page.py",
    "xmcgan/display/test_demo_actions.py",
    "xmcgan/test_text_to_image.py",
    "experiments/paper_figures/test_figures.py",
    "experiments/test_pretrained.py",
    "eval/test_sources.py",
    "eval/ranking/test_ranking_export.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.option.loadscopereorder = False  # xdist would begin with the files that have the most tests.
    if getattr(config.option, "numprocesses", None):
        start_server()  # One for all processes that xdist starts.


@pytest.hookimpl(optionalhook=True)  # Without xdist there is no such hook.
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        """Gives a process the tests of a file, or of several that belong together."""

        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "drawing" if file.removeprefix("tests/") in _DRAWING else file

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    ranks = {f"tests/{name}": rank for rank, name in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.split("::")[0], len(ranks)))
