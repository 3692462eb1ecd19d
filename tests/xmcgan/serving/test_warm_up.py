"""The warm-up requests, and requests as TensorFlow Serving's clients write them."""

import base64
import json
import re
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc

from xmcgan.serving.warm_up import read_requests

README = Path(__file__).parents[3] / "xmcgan" / "README.md"


def test_each_signature_is_warmed_up(export_dir, exported):
    requests = read_requests(str(export_dir / "1"))
    assert {signature for signature, _ in requests} == set(exported._functions)
    for signature, inputs in requests:
        outputs = exported._functions[signature](**inputs)
        assert all(len(output) == len(next(iter(inputs.values()))) for output in outputs.values())


def test_the_file_is_what_serving_reads(export_dir):
    path = export_dir / "1" / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))
    ]
    assert 0 < len(logs) <= 1000  # Serving refuses more.
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        assert log.predict_log.request.model_spec.name == "ball"


class _Serving(prediction_service_pb2_grpc.PredictionServiceServicer):
    """TensorFlow Serving's part of its own protocol, for one model."""

    def __init__(self, name, functions):
        self._name, self._functions = name, functions

    def Predict(self, request, context):
        assert request.model_spec.name == self._name
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for name, output in self._functions[request.model_spec.signature_name](**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(output))
        return response


def test_the_readmes_request_over_grpc(exported):
    (code,) = re.findall(r"```python\n(import grpc\n.*?)```", README.read_text(), re.DOTALL)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Serving("demo", exported._functions), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        names = {}
        exec(code.replace("localhost:8500", f"localhost:{port}"), names)
    finally:
        server.stop(grace=None)
    drawn = exported(["a red ball on the beach"], [7])[0].astype(int)
    assert np.max(np.abs(tf.io.decode_png(names["png"]).numpy() - drawn)) <= 1


def test_the_readmes_request_over_rest(exported):
    """By the rules of Serving's REST API: `inputs` by column, and outputs called *_bytes answered in base64."""
    (body,) = re.findall(r"-d '(\{.*?\})'", README.read_text(), re.DOTALL)
    request = json.loads(body)
    signature = exported._functions[request["signature_name"]]
    specs = signature.structured_input_signature[1]
    inputs = {name: tf.constant(value, specs[name].dtype) for name, value in request["inputs"].items()}
    outputs = signature(**inputs)
    assert list(outputs) == ["png_bytes"]
    answer = json.dumps({"outputs": [{"b64": base64.b64encode(png).decode()} for png in outputs["png_bytes"].numpy()]})
    first = base64.b64decode(json.loads(answer)["outputs"][0]["b64"])
    assert tf.io.decode_png(first).shape == [64, 64, 3]
