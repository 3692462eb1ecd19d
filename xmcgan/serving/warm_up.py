"""Warm-up requests: TensorFlow Serving sends them to a model first, because the first call of a graph is slow."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_CAPTION = "a red ball on the beach"
_BATCH_SIZES = (1, 2)
# The types of the inputs; TensorFlow would choose other types for Python's and NumPy's numbers.
_TYPES = {"seed": tf.int64, "z": tf.float32, "share": tf.float32}


def predict_request(model: str, signature: str, **inputs: Any) -> predict_pb2.PredictRequest:
    """Makes a request for TensorFlow Serving's gRPC API.

    Args:
      model: the name that the model is served under.
      signature: one of `signatures`.
      **inputs: tensors, or values that can be converted to tensors.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, _TYPES.get(name)))
    return request


def write_requests(folder: str, model: str, noise_dim: int, attends: bool) -> str:
    """Writes requests for each signature, with one image and with several.

    Args:
      folder: of the SavedModel.
      model: see `predict_request`.
      noise_dim: width of z.
      attends: whether there is a signature `attention`.

    Returns:
      The path of the file.
    """
    path = os.path.join(folder, _FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for size in _BATCH_SIZES:
            captions, seed = tf.fill([size], _CAPTION), tf.range(size, dtype=tf.int64)
            z = tf.zeros([size, noise_dim])
            inputs = {
                "serving_default": {"captions": captions, "seed": seed},
                "png": {"captions": captions, "seed": seed},
                "without_seed": {"captions": captions},
                "png_without_seed": {"captions": captions},
                "from_noise": {"captions": captions, "z": z},
                "mixed": {"captions": captions, "other_captions": captions, "share": tf.fill([size], 0.5), "z": z},
                "noise": {"seed": seed},
                "tokens": {"captions": captions},
                **({"attention": {"captions": captions, "z": z}} if attends else {}),
            }
            for signature, signature_inputs in inputs.items():
                request = predict_request(model, signature, **signature_inputs)
                log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
                writer.write(log.SerializeToString(deterministic=True))
    return path


def read_requests(folder: str) -> list[tuple[str, dict[str, tf.Tensor]]]:
    """Reads a model's warm-up requests: signature and inputs of each.

    Args:
      folder: of the SavedModel.
    """
    requests = []
    for record in tf.data.TFRecordDataset(os.path.join(folder, _FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, {name: tf.constant(x) for name, x in inputs.items()}))
    return requests
