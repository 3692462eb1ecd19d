import pytest
import tensorflow as tf

from eval.networks.image_function import find_image_function


def _saved(shape, signature, tmp_path):
    """Saves a function that computes the means of uint8 images, and loads the SavedModel."""
    module = tf.Module()
    spec = tf.TensorSpec(shape, tf.uint8, name="images")
    module.means = tf.function(lambda images: {"means": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}, [spec])
    tf.saved_model.save(module, str(tmp_path), signatures={signature: module.means})
    return tf.saved_model.load(str(tmp_path))


@pytest.mark.parametrize("signature", ["serving_default", "default"])
@pytest.mark.parametrize(("shape", "batch"), [([None, None, None, 3], None), ([1, 8, 8, 3], 1)])
def test_signatures(signature, shape, batch, tmp_path):
    function = find_image_function(_saved(shape, signature, tmp_path))
    assert (function.dtype, function.batch) == (tf.uint8, batch)
    (means,) = function.run(tf.fill([1, 8, 8, 3], tf.constant(7, tf.uint8))).values()
    assert means.numpy().tolist() == [[7.0, 7.0, 7.0]]


@pytest.mark.parametrize("shape", [[None, 8], [None, 8, 8, 4]])
def test_functions_that_take_no_images(shape, tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda x: {"y": 2.0 * x}, input_signature=[tf.TensorSpec(shape, tf.float32)])
    tf.saved_model.save(module, str(tmp_path), signatures=module.call)
    assert find_image_function(tf.saved_model.load(str(tmp_path))) is None
