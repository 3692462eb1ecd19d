"""The inputs and outputs of both Inceptions, how they are loaded, and the errors when they cannot be."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from eval.networks import inception
from eval.networks.inception import NETWORKS, load_image_network
from tests.support.commands import run_program

EVERY = 130  # The stub's features are every 130th value of an image of 299 x 299.
ROUNDING = (
    2e-4  # TensorFlow computes pixel positions in float32. A shift by half a pixel changes hundreds of times more.
)


class TfganStub(tf.Module):
    """The API of TF-GAN's SavedModel; its features are values of its input, spread over the image."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def __call__(self, images):
        flat = tf.reshape(tf.ensure_shape(images, [None, 299, 299, 3]), [-1, 299 * 299 * 3])
        return {"pool_3": flat[:, tf.newaxis, tf.newaxis, ::EVERY][..., :2048], "logits": self.scale * flat[:, :1008]}


@pytest.fixture(scope="module")
def tfgan_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfgan")
    tf.saved_model.save(TfganStub(), str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def tfgan(tfgan_folder):
    return load_image_network("tfgan", tfgan_folder)


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    """Weights of a random Inception-v3, and the network itself."""
    tf.keras.utils.set_random_seed(0)
    network = tf.keras.applications.InceptionV3(weights=None)
    tf.random.set_seed(None)
    for variable in network.variables:
        if variable.shape.rank == 1:  # Keras starts these at 0 and 1, which would hide their loss.
            variable.assign(tf.random.uniform(variable.shape, 0.5, 1.5))
    path = str(tmp_path_factory.mktemp("keras") / "inception.h5")
    network.save_weights(path)
    return path, network


@pytest.fixture(scope="module")
def keras(keras_file):
    return load_image_network("keras", keras_file[0])


def _small_inception():
    """Keras' Inception-v3, but for its inner layers, which take seconds to build."""
    layers = tf.keras.layers
    images = layers.Input([299, 299, 3])
    features = layers.GlobalAveragePooling2D(name="avg_pool")(layers.Conv2D(2048, 1)(images))
    return tf.keras.Model(images, layers.Dense(1000, name="predictions")(features))


def _images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [*shape, 3]).astype(np.uint8)


def _gradient(height, width):
    """Rises by 1 a column and by 2 a row (cut at 255), and is different in each color."""
    plane = np.arange(width)[np.newaxis, :] + 2 * np.arange(height)[:, np.newaxis]
    return np.minimum(np.stack([plane, plane // 2, 255 - np.minimum(plane, 255)], axis=-1), 255).astype(np.uint8)[None]


def _resized(images, offset):
    """Bilinear to 299 x 299 by its definition: output pixel i lies at (i + offset) * size / 299 - offset."""
    images = images.astype(np.float64)
    for axis in (1, 2):
        size = images.shape[axis]
        at = np.clip((np.arange(299) + offset) * size / 299 - offset, 0, size - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, size - 1)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(4)])
        images = images.take(low, axis) * (1 - share) + images.take(high, axis) * share
    return images


SIZES = [(64, 64), (256, 256), (299, 299), (480, 640), (97, 33)]


@pytest.mark.parametrize("size", SIZES)
def test_tfgan_input_is_resized_without_half_pixel_centres(size):
    for images in (_gradient(*size), _images(1, *size)):
        prepared = inception.tfgan_input(tf.constant(images))
        assert prepared.shape == (1, 299, 299, 3) and prepared.dtype == tf.float32
        np.testing.assert_allclose(prepared, (_resized(images, 0.0) - 128) / 128, atol=ROUNDING)


@pytest.mark.parametrize("size", SIZES)
def test_keras_input_is_resized_with_half_pixel_centres(size):
    for images in (_gradient(*size), _images(1, *size)):
        prepared = inception.keras_input(tf.constant(images))
        assert prepared.shape == (1, 299, 299, 3) and prepared.dtype == tf.float32
        np.testing.assert_allclose(prepared, _resized(images, 0.5) / 127.5 - 1, atol=ROUNDING)


@pytest.mark.parametrize("value", [0, 127, 128, 255])
def test_ranges(value):
    images = tf.fill([2, 40, 50, 3], tf.constant(value, tf.uint8))
    np.testing.assert_array_equal(inception.tfgan_input(images), np.full([2, 299, 299, 3], (value - 128) / 128))
    np.testing.assert_allclose(inception.keras_input(images), np.full([2, 299, 299, 3], value / 127.5 - 1), atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_tfgan_gets_its_input_and_returns_rows(tfgan, size):
    images = _images(2, *size)
    output = tf.function(tfgan)(tf.constant(images))
    seen = ((_resized(images, 0.0) - 128) / 128).reshape(2, -1)
    assert output.features.dtype == output.logits.dtype == tf.float32
    np.testing.assert_allclose(output.features, seen[:, ::EVERY][:, :2048], atol=ROUNDING)  # [2, 2048]
    np.testing.assert_allclose(output.logits, 3 * seen[:, :1008], atol=3 * ROUNDING)  # All 1008.
    shapes = tf.function(tfgan).get_concrete_function(tf.TensorSpec([None, *size, 3], tf.uint8)).structured_outputs
    assert (shapes.features.shape[1], shapes.logits.shape[1]) == (2048, 1008)


def test_tfgan_in_tf1s_hub_format(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
        pooled = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        outputs = {"pool_3": pooled, "logits": 2.0 * pooled[:, 0, 0]}
        signature = tf.compat.v1.saved_model.predict_signature_def({"images": images}, outputs)
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.save()
    (tmp_path / "old" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    output = load_image_network("tfgan", str(tmp_path / "old"))(tf.fill([2, 8, 8, 3], tf.constant(192, tf.uint8)))
    np.testing.assert_allclose(output.features, np.full([2, 3], 0.5))
    np.testing.assert_allclose(output.logits, np.full([2, 3], 1.0))


@pytest.mark.slow  # Two Inceptions are built. How Keras' images are prepared: above; how its file is read: below.
def test_keras_features_and_logits(keras, keras_file):
    images = _images(2, 64, 48)
    network = keras_file[1]
    prepared = tf.keras.applications.inception_v3.preprocess_input(
        tf.image.resize(tf.cast(images, tf.float32), [299, 299]).numpy()
    )
    both = tf.keras.Model(network.input, [network.get_layer("avg_pool").output, network.output])
    pooled, probabilities = both(prepared, training=False)
    output = keras(tf.constant(images))  # In a graph: test_runs_on_two_replicas.
    assert output.features.shape == (2, 2048) and output.logits.shape == (2, 1000)
    np.testing.assert_allclose(output.features, pooled, rtol=1e-3, atol=1e-3 * np.abs(pooled).max())
    np.testing.assert_allclose(tf.nn.softmax(output.logits), probabilities, rtol=1e-2, atol=1e-6)


def test_no_gradient_passes(tfgan):
    variable = tf.Variable(tf.zeros([1, 64, 64, 3]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tfgan(variable).features)
    assert tape.gradient(total, variable) is None


def test_identity_depends_on_weights_and_preprocessing(tfgan, tfgan_folder, tmp_path):
    identity = json.loads(json.dumps(tfgan.identity))
    assert identity["weights"] == tfgan_folder and len(identity["sha256"]) == 64
    assert (identity["name"], identity["size"], identity["range"]) == ("tfgan", 299, "(x - 128) / 128")
    assert (identity["features"], identity["logits"]) == ("pool_3", "logits")
    assert tfgan.is_inception
    copy = shutil.copytree(tfgan_folder, tmp_path / "copy")
    assert load_image_network("tfgan", str(copy)).identity == {**identity, "weights": str(copy)}


@pytest.mark.slow  # Loads the network once more. An identity that another process finds: test_runs_on_two_replicas.
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_identity_of_keras_depends_on_its_weights(keras, keras_file, tmp_path):
    path, network = keras_file
    whole = str(tmp_path / "whole.h5")
    network.save(whole)  # The same weights, in another file.
    again = load_image_network("keras", whole)
    assert again.identity == {**keras.identity, "weights": whole}
    assert again.is_inception and again.identity["features"] == "avg_pool"
    assert json.loads(json.dumps(keras.identity))["weights"] == path


def test_scenes_sees_uint8_images_as_they_are(tmp_path):
    class Recognizer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def __call__(self, images):
            mean = tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2])
            return {"features": mean, "logits": 2.0 * mean, "num_detections": tf.zeros([tf.shape(images)[0]])}

    tf.saved_model.save(Recognizer(), str(tmp_path))
    network = load_image_network("scenes", str(tmp_path))
    images = _images(3, 20, 30)
    np.testing.assert_allclose(network(images).features, images.mean(axis=(1, 2)), rtol=1e-5)
    assert (network.name, network.is_inception) == ("scenes", False)


@pytest.mark.parametrize("name", ["tfgan", pytest.param("keras", marks=pytest.mark.slow)])
def test_runs_on_two_replicas(name, request, tfgan_folder, tmp_path):
    network = request.getfixturevalue(name)
    weights = tfgan_folder if name == "tfgan" else request.getfixturevalue("keras_file")[0]
    images = _images(3, 64, 64)
    np.savez(tmp_path / "alone.npz", images=images, **network(tf.constant(images))._asdict())
    program = """
        import sys
        import numpy as np
        import tensorflow as tf
        from eval.networks.inception import load_image_network

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        name, weights, digest, path = sys.argv[1:]
        with strategy.scope():
            network = load_image_network(name, weights)
        assert network.identity["sha256"] == digest
        alone = np.load(path)
        step = tf.function(lambda x: strategy.run(network, args=(x,)))
        batches = tf.data.Dataset.from_tensor_slices(alone["images"]).batch(3)
        output = step(next(iter(strategy.experimental_distribute_dataset(batches))))
        for field in ("features", "logits"):
            replicas = strategy.experimental_local_results(getattr(output, field))
            assert [len(replica) for replica in replicas] == [2, 1]
            np.testing.assert_allclose(tf.concat(replicas, 0), alone[field], atol=1e-4 * np.abs(alone[field]).max())
    """
    run_program(program, name, weights, network.identity["sha256"], tmp_path / "alone.npz")


def test_offline_tfgan_says_what_to_fetch(offline):
    message = (
        r"--weights='https://tfhub.dev/tensorflow/tfgan/eval/inception/1' cannot be fetched \(no route\): fetch "
        r"https://tfhub.dev/tensorflow/tfgan/eval/inception/1\?tf-hub-format=compressed by hand, .*--weights=FOLDER$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_image_network("tfgan", "", flag="--weights")


@pytest.mark.slow  # Keras builds the network first. A smaller one: tests/xmcgan/models/test_image_encoder.py.
def test_offline_keras_says_what_to_fetch(offline):
    message = (
        r"--weights: the ImageNet weights cannot be downloaded \(URL fetch failure on "
        r"https://\S+/inception_v3_weights_tf_dim_ordering_tf_kernels\.h5.*no route.*\): .*--weights=FILE$"
    )
    with pytest.raises(FileNotFoundError, match=message) as error:
        load_image_network("keras", "", flag="--weights")
    assert "\n" not in str(error.value)


def test_refuses_what_is_not_the_network(tfgan_folder, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=f"unknown network 'vgg': choose one of {', '.join(NETWORKS)}"):
        load_image_network("vgg", "")
    with pytest.raises(FileNotFoundError, match=r"--network_weights='': there is no such folder"):
        load_image_network("scenes", "")
    with pytest.raises(ValueError, match=r"--network_weights='.*' is not the network 'scenes' .*features and logits"):
        load_image_network("scenes", tfgan_folder)
    with pytest.raises(FileNotFoundError, match=r"no\.h5' does not exist"):
        load_image_network("keras", str(tmp_path / "no.h5"))
    network = _small_inception()
    headless = str(tmp_path / "notop.h5")
    tf.keras.Model(network.input, network.get_layer("avg_pool").output).save_weights(headless)
    monkeypatch.setattr(tf.keras.applications, "InceptionV3", lambda **_: network)
    with pytest.raises(ValueError, match=r"notop\.h5' does not hold weights of the whole InceptionV3 .* pass a Keras"):
        load_image_network("keras", headless)
    module = tf.Module()
    module.embed = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "text"))
    with pytest.raises(ValueError, match=r"is not the network 'tfgan' .*nothing in this SavedModel takes images"):
        load_image_network("tfgan", str(tmp_path / "text"))
