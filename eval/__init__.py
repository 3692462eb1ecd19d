"""Evaluation of images: the metrics of the paper's section 5.2, and rankings by people."""

from etils import epy

import xmcgan  # noqa: F401  It chooses Keras 2.

# Resolved on first use, because most of these modules import TensorFlow.
with epy.lazy_api_imports(globals()):
    from eval.evaluation import Evaluation
    from eval.metrics.frechet import frechet_distance
    from eval.metrics.inception_score import inception_score
    from eval.metrics.kernel_distance import kernel_distance
    from eval.metrics.r_precision import r_precision
    from eval.results import Result
    from eval.score import Score
    from eval.sources import DatasetImages, FolderImages, GeneratedImages

__all__ = [
    "DatasetImages",
    "Evaluation",
    "FolderImages",
    "GeneratedImages",
    "Result",
    "Score",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "r_precision",
]
