import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models.image_encoder import build_image_encoder
from xmcgan.models.inlined_network import inline

SIZE = 8


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A convolutional image feature vector of any number of images, as Keras saves it."""
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            tf.keras.Input([SIZE, SIZE, 3]),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh"),
            layers.BatchNormalization(moving_mean_initializer="ones"),
            layers.Conv2D(5, 3, activation="softplus"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    folder = str(tmp_path_factory.mktemp("network"))
    tf.saved_model.save(network, folder)
    return folder


def _encoder(folder):
    return build_image_encoder("hub", folder, "", SIZE)


def _gradient(encode, images, **options):
    """Of a number that hangs on all features, and how it was computed."""

    @tf.function(autograph=False, **options)
    def compute(scale):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.sin(3.0 * encode(scale * images)))
        return value, tape.gradient(value, images)

    return compute


def test_features_and_gradients_are_the_networks_own(saved_model):
    images = tf.Variable(np.random.default_rng(0).random([3, SIZE, SIZE, 3], np.float32))
    encoder = _encoder(saved_model)
    inlined = inline(encoder, tf.TensorSpec([None, SIZE, SIZE, 3]))
    value, gradient = _gradient(inlined, images)(tf.constant(0.7))
    expected_value, expected_gradient = _gradient(encoder, images)(tf.constant(0.7))
    assert np.abs(expected_gradient).max() > 1e-3
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-7)


def test_xla_compiles_it_once_for_all_images(saved_model):
    """A SavedModel as it is makes XLA take the images for constants: see `inline`."""
    images = tf.Variable(tf.zeros([2, SIZE, SIZE, 3]))
    inlined = inline(_encoder(saved_model), tf.TensorSpec([None, SIZE, SIZE, 3]))

    def programs(encode):
        compute = _gradient(encode, images, jit_compile=True)
        for value in (0.1, 0.2):
            images.assign(tf.fill(images.shape, value))
            yield compute.experimental_get_compiler_ir(tf.constant(0.7))(stage="hlo")

    first, second = programs(inlined)
    assert first == second
    # Else this test could not fail.
    first, second = programs(_encoder(saved_model))
    assert first != second


def test_under_xla_the_gradient_is_the_same(saved_model):
    images = tf.Variable(np.random.default_rng(0).random([3, SIZE, SIZE, 3], np.float32))
    encoder = _encoder(saved_model)
    inlined = inline(encoder, tf.TensorSpec([None, SIZE, SIZE, 3]))
    _, gradient = _gradient(inlined, images, jit_compile=True)(tf.constant(0.7))
    _, expected = _gradient(encoder, images)(tf.constant(0.7))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
