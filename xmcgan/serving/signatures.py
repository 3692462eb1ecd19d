"""The signatures of an exported model.

  serving_default  captions, seed                      -> images
  png              captions, seed                      -> png_bytes
  without_seed     captions                            -> images, as serving_default with the seed 0
  png_without_seed captions                            -> png_bytes, as png with the seed 0
  from_noise       captions, z                         -> images
  attention        captions, z                         -> images, attention, words
  mixed            captions, other_captions, share, z  -> images
  noise            seed                                -> z
  tokens           captions                            -> words, cut

Inputs and outputs, where N is any number, 0 included:

  captions, other_captions  string [N].
  seed                      int64 [N], or one for all. Determines a noise vector. It is 0 if it is left out, which
                            gRPC allows, but neither REST nor the signatures of a model that was loaded in Python.
  z                         float32 [N, noise_dim], finite: noise ~ N(0, I).
  share                     float32 [N] in [0, 1]: the share of the other caption.
  images                    uint8 [N, size, size, 3].
  png_bytes                 string [N]: the images as PNG files, which TensorFlow Serving's REST API returns in base64.
  attention                 float32 [N, 16, 16, text_length]: the attention of each region to each word.
  words                     string [N, text_length]: the caption's tokens, '' for padding.
  cut                       bool [N]: whether the caption has more tokens than `words`.

A model whose generator has no attention has no signature `attention`.
"""

from __future__ import annotations

import tensorflow as tf

from xmcgan.serving.caption_to_image import CaptionToImage


def signatures(model: CaptionToImage) -> dict[str, tf.types.experimental.GenericFunction]:
    """Returns the signatures by name, for `tf.saved_model.save`.

    Args:
      model: the model that computes the outputs.
    """
    captions = tf.TensorSpec([None], tf.string, name="captions")
    z = tf.TensorSpec([None, model.noise_dim], tf.float32, name="z")
    seed = tf.TensorSpec(None, tf.int64, name="seed")
    other_captions = tf.TensorSpec([None], tf.string, name="other_captions")
    share = tf.TensorSpec([None], tf.float32, name="share")
    first_seed = tf.constant(0, tf.int64)

    @tf.function(autograph=False, input_signature=[captions, seed])
    def serving_default(captions: tf.Tensor, seed: tf.Tensor = first_seed) -> dict[str, tf.Tensor]:
        return {"images": model.images(captions, model.noise(model.seed_of_each(seed, captions)))}

    @tf.function(autograph=False, input_signature=[captions, seed])
    def png(captions: tf.Tensor, seed: tf.Tensor = first_seed) -> dict[str, tf.Tensor]:
        images = model.images(captions, model.noise(model.seed_of_each(seed, captions)))
        return {"png_bytes": tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.TensorSpec([], tf.string))}

    @tf.function(autograph=False, input_signature=[captions])
    def without_seed(captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return serving_default(captions, tf.constant(0, tf.int64))

    @tf.function(autograph=False, input_signature=[captions])
    def png_without_seed(captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return png(captions, tf.constant(0, tf.int64))

    @tf.function(autograph=False, input_signature=[captions, z])
    def from_noise(captions: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"images": model.images(captions, z)}

    @tf.function(autograph=False, input_signature=[captions, z])
    def attention(captions: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(("images", "attention", "words"), model.attention(captions, z)))

    @tf.function(autograph=False, input_signature=[captions, other_captions, share, z])
    def mixed(captions: tf.Tensor, other_captions: tf.Tensor, share: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"images": model.mixed(captions, other_captions, share, z)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.int64, name="seed")])
    def noise(seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"z": model.noise(seed)}

    @tf.function(autograph=False, input_signature=[captions])
    def tokens(captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(("words", "cut"), model.tokens(captions)))

    functions = [serving_default, png, without_seed, png_without_seed, from_noise, mixed, noise, tokens]
    functions += [attention] if model.attends else []
    return {function.python_function.__name__: function for function in functions}
