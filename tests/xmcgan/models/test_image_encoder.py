import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models import image_encoder

SIZE = 32


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """Weights of a VGG-19 as published (without the classifier), but random; and the network itself."""
    tf.keras.utils.set_random_seed(0)
    vgg = tf.keras.applications.VGG19(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    for variable in vgg.variables:
        if variable.shape.rank == 1:  # Keras starts biases at zero, which would hide their loss.
            variable.assign(tf.random.normal(variable.shape))
    path = str(tmp_path_factory.mktemp("vgg") / "vgg19.h5")
    vgg.save_weights(path)
    return path, vgg


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory):
    """Weights of a random ResNet-50 with its classifier."""
    tf.keras.utils.set_random_seed(0)
    resnet = tf.keras.applications.ResNet50(weights=None)
    path = str(tmp_path_factory.mktemp("resnet") / "resnet50.h5")
    resnet.save_weights(path)
    return path, resnet


def _images(batch, height, width, seed=0):
    return np.random.default_rng(seed).uniform(size=[batch, height, width, 3]).astype(np.float32)


def test_preprocessing_is_that_of_keras_applications():
    images = _images(2, SIZE, SIZE)
    expected = tf.keras.applications.vgg19.preprocess_input(255.0 * images)
    np.testing.assert_allclose(image_encoder.ImageNetPreprocessing(SIZE)(images), expected, atol=1e-4)
    expected = tf.keras.applications.resnet50.preprocess_input(255.0 * images)
    np.testing.assert_allclose(image_encoder.ImageNetPreprocessing(SIZE)(images), expected, atol=1e-4)


def test_vgg_features_are_the_layer_averaged_over_space(vgg_file):
    path, vgg = vgg_file
    encoder = image_encoder.build_image_encoder("vgg19", path, "block3_conv4", SIZE)
    images = _images(2, SIZE, SIZE)
    layer = tf.keras.Model(vgg.input, vgg.get_layer("block3_conv4").output)
    expected = layer(tf.keras.applications.vgg19.preprocess_input(255.0 * images)).numpy().mean(axis=(1, 2))
    features = encoder(images)
    assert features.shape == (2, 256)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_resizes_bilinearly(vgg_file):
    encoder = image_encoder.build_image_encoder("vgg19", vgg_file[0], "block2_conv2", SIZE)
    images = _images(1, 48, 64)
    resized = tf.image.resize(images, [SIZE, SIZE])
    np.testing.assert_allclose(encoder(images), encoder(resized), rtol=1e-4, atol=1e-3)


@pytest.mark.slow  # Several ResNets are built. Other layers, of a smaller network: above.
def test_resnet_logits_are_the_scores_before_the_softmax(resnet_file):
    path, resnet = resnet_file
    encoder = image_encoder.build_image_encoder("resnet50", path, "logits", 224)
    images = _images(1, 224, 224)
    expected = resnet(tf.keras.applications.resnet50.preprocess_input(255.0 * images), training=False)
    assert encoder.output_shape == (None, 1000)
    np.testing.assert_allclose(tf.nn.softmax(encoder(images, training=True)), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.slow  # As above.
def test_a_file_with_the_classifier_serves_the_layers_before_it(resnet_file):
    path, resnet = resnet_file
    encoder = image_encoder.build_image_encoder("resnet50", path, "conv2_block3_out", 224)
    images = _images(1, 224, 224)
    layer = tf.keras.Model(resnet.input, resnet.get_layer("conv2_block3_out").output)
    expected = layer(tf.keras.applications.resnet50.preprocess_input(255.0 * images), training=False)
    np.testing.assert_allclose(encoder(images), expected.numpy().mean(axis=(1, 2)), rtol=1e-3, atol=1e-3)


def test_is_frozen_but_passes_gradients_to_the_images(vgg_file):
    encoder = image_encoder.build_image_encoder("vgg19", vgg_file[0], "block2_conv2", SIZE)
    assert not encoder.trainable_variables
    images = tf.constant(_images(1, 20, 20))

    @tf.function
    def gradient(x):
        return tf.gradients(tf.reduce_sum(encoder(x, training=True)), x)[0]

    slope = tf.norm(gradient(images))  # Along the gradient, where rounding matters least.
    step = 1e-2 * gradient(images) / slope
    numerical = tf.reduce_sum(encoder(images + step) - encoder(images - step)) / 2e-2
    np.testing.assert_allclose(slope, numerical, rtol=1e-2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "alexnet"}, r"image_encoder.architecture='alexnet' is not possible: .*vgg19"),
        ({"layer": "block9_conv1"}, r"image_encoder.layer='block9_conv1' is not a layer of vgg19"),
        ({"layer": "logits"}, r"image_encoder.image_size=32 does not suit layer='logits'.*224"),
        ({"image_size": 16}, r"image_encoder.image_size=16 is too small: set it to 32"),
        ({"architecture": "resnet50", "layer": "conv1_relu"}, r"does not hold weights of resnet50"),
    ],
)
def test_refuses_what_cannot_be_built(vgg_file, changes, message):
    arguments = {"architecture": "vgg19", "weights": vgg_file[0], "layer": "block2_conv2", "image_size": SIZE}
    with pytest.raises(ValueError, match=message) as error:
        image_encoder.build_image_encoder(**{**arguments, **changes})
    assert "\n" not in str(error.value)


def test_refuses_a_missing_or_broken_weights_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.h5' does not exist"):
        image_encoder.build_image_encoder("vgg19", str(tmp_path / "no.h5"), "block2_conv2", SIZE)
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"not a weights file")
    with pytest.raises(ValueError, match="does not hold weights of vgg19"):
        image_encoder.build_image_encoder("vgg19", str(broken), "block2_conv2", SIZE)


def test_a_failed_download_names_the_file_and_the_flag(offline):
    message = (
        r"^image_encoder\.weights: .*URL fetch failure on https://\S+/vgg19_weights_tf_dim_ordering_tf_kernels_notop\.h5"
        r".*no route.*fetch that file by hand.*pass image_encoder\.weights=FILE$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        image_encoder.build_image_encoder("vgg19", "imagenet", "block5_conv4", SIZE)


class _FeatureVector(tf.Module):
    """By TF Hub's API: mean colors of the halves of an image, times a weight."""

    def __init__(self, features=lambda images, weight: weight * tf.reduce_mean(images, axis=[1, 3])):
        super().__init__()
        self.weight = tf.Variable(2.0)
        self._features = features

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 3])])
    def __call__(self, images):
        return self._features(images, self.weight)


def _saved(tmp_path, module):
    tf.saved_model.save(module, str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def test_an_image_feature_vector_of_tf_hub(tmp_path):
    encoder = image_encoder.build_image_encoder("hub", _saved(tmp_path, _FeatureVector()), "", 2)
    assert not encoder.trainable_variables
    images = tf.constant(_images(3, 2, 2))
    with tf.GradientTape() as tape:
        tape.watch(images)
        features = encoder(images)
    np.testing.assert_allclose(features, 2 * images.numpy().mean(axis=(1, 3)), rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(features, images), np.full([3, 2, 2, 3], 2 / 6), rtol=1e-6)
    # Of a constant image, resizing changes nothing but the size.
    np.testing.assert_allclose(encoder(np.full([1, 5, 7, 3], 0.25, np.float32)), [[0.5, 0.5]], rtol=1e-6)


def test_images_of_the_right_size_are_not_resized(tmp_path):
    encoder = image_encoder.build_image_encoder("hub", _saved(tmp_path, _FeatureVector()), "", 2)
    for side, resized in ((2, False), (4, True)):
        graph = tf.function(encoder).get_concrete_function(tf.TensorSpec([1, side, side, 3])).graph
        assert any("Resize" in operation.type for operation in graph.get_operations()) == resized


def test_other_saved_models_are_refused_in_words(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"image_encoder.weights='.*': this folder holds no SavedModel"):
        image_encoder.build_image_encoder("hub", str(tmp_path), "", 2)
    maps = _saved(tmp_path, _FeatureVector(lambda images, weight: weight * images))
    with pytest.raises(ValueError, match=r"not an image feature vector .*: its output is not \[batch, dim\]"):
        image_encoder.build_image_encoder("hub", maps, "", 2)
    with pytest.raises(ValueError, match=r"image_encoder.image_size=8: it does not take float32 \[batch, 8, 8, 3\]"):
        image_encoder.build_image_encoder("hub", maps, "", 8)
    nothing = tf.Module()
    tf.saved_model.save(nothing, str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="it has no function to call"):
        image_encoder.build_image_encoder("hub", str(tmp_path / "nothing"), "", 2)
