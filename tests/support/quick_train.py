"""`python -m xmcgan.train` with a step that is traced quickly: `python -m tests.support.quick_train ARGUMENTS`."""

from __future__ import annotations

import runpy

from tests.support.quick_step import QuickStep
from xmcgan.training import batch_step

if __name__ == "__main__":
    batch_step.TrainingStep = QuickStep
    runpy.run_module("xmcgan.train", run_name="__main__", alter_sys=True)
