"""Leaves each of several test processes one core, as there is a process for each: import this before NumPy."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # More threads than cores would wait for each other, busily. What tests start inherits this.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
