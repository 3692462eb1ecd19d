"""Evaluation of images: the metrics of the paper's section 5.2, and rankings by people."""

from typing import TYPE_CHECKING

from xmcgan.lazy_names import offer  # Importing xmcgan also chooses Keras 2.

if TYPE_CHECKING:
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

__getattr__, __dir__ = offer(
    "eval",
    {
        "Evaluation": "eval.evaluation",
        "frechet_distance": "eval.metrics.frechet",
        "inception_score": "eval.metrics.inception_score",
        "kernel_distance": "eval.metrics.kernel_distance",
        "r_precision": "eval.metrics.r_precision",
        "Result": "eval.results",
        "Score": "eval.score",
        "DatasetImages": "eval.sources",
        "FolderImages": "eval.sources",
        "GeneratedImages": "eval.sources",
    },
)
