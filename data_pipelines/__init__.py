"""The datasets, their conversion into records, and the input pipeline that turns records into batches."""

from etils import epy

import xmcgan  # noqa: F401  It chooses Keras 2.

# Resolved on first use, because most of these modules import TensorFlow.
with epy.lazy_api_imports(globals()):
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
