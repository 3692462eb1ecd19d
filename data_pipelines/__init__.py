"""The datasets, their conversion into records, and the input pipeline that turns records into batches."""

from typing import TYPE_CHECKING

from xmcgan.lazy_names import offer  # Importing xmcgan also chooses Keras 2.

if TYPE_CHECKING:
    from data_pipelines.datasets import preset
    from data_pipelines.images import decode_image, resize_image
    from data_pipelines.input_pipeline import evaluation_batches, evaluation_captions, num_examples, training_batches
    from data_pipelines.prepare import prepare_scenes
    from data_pipelines.records import open_dataset

__all__ = [
    "decode_image",
    "evaluation_batches",
    "evaluation_captions",
    "num_examples",
    "open_dataset",
    "prepare_scenes",
    "preset",
    "resize_image",
    "training_batches",
]

__getattr__, __dir__ = offer(
    "data_pipelines",
    {
        "preset": "data_pipelines.datasets",
        "decode_image": "data_pipelines.images",
        "resize_image": "data_pipelines.images",
        "evaluation_batches": "data_pipelines.input_pipeline",
        "evaluation_captions": "data_pipelines.input_pipeline",
        "num_examples": "data_pipelines.input_pipeline",
        "training_batches": "data_pipelines.input_pipeline",
        "prepare_scenes": "data_pipelines.prepare",
        "open_dataset": "data_pipelines.records",
    },
)
