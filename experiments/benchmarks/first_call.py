"""Measures how long a new process that does not import this package takes to generate its first image.

  python experiments/benchmarks/first_call.py MODEL none|warm_up

MODEL is the folder of one version of an export. With `warm_up`, the export's warm-up requests are answered first, as
TensorFlow Serving does before it accepts requests. The last line of the output is JSON: how many seconds loading,
warming up, the first call and the second call took.
"""

import json
import os
import sys
import time

import tensorflow as tf
import tensorflow_text  # noqa: F401
from tensorflow_serving.apis import prediction_log_pb2


def main() -> None:
    """Prints the seconds as JSON."""
    folder, mode = sys.argv[1:]
    seconds, start = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = time.perf_counter() - start, time.perf_counter()

    signatures = tf.saved_model.load(folder).signatures
    lap("load")
    if mode == "warm_up":
        path = os.path.join(folder, "assets.extra", "tf_serving_warmup_requests")
        for record in tf.data.TFRecordDataset(path):
            request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            signatures[request.model_spec.signature_name](**inputs)
    lap("warm_up")
    for call in ("first", "second"):
        signatures["serving_default"](captions=tf.constant(["a blue tree"]), seed=tf.constant(3, tf.int64))
        lap(call)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
