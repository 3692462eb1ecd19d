"""A program that does not import this project: draws images with an exported model and saves the results.

python -I stranger.py MODEL OUTPUT.npz
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401

# Else TensorFlow would first optimize each function, which takes seconds: more than a few images save.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
model = tf.saved_model.load(sys.argv[1])
signatures = model.signatures
captions = tf.constant(["a red ball on the beach", "two small trees at night"])
twice, seeds = tf.repeat(captions, 2), tf.constant([0, 1, 0, 1], tf.int64)
z = signatures["noise"](seed=seeds)["z"]
png = signatures["png"](captions=twice, seed=seeds)["png_bytes"]
attention = signatures["attention"](captions=twice, z=z)
np.savez(
    sys.argv[2],
    serving_default=signatures["serving_default"](captions=twice, seed=seeds)["images"],
    png=[tf.io.decode_png(each) for each in png],
    from_noise=signatures["from_noise"](captions=twice, z=z)["images"],
    attention_images=attention["images"],
    attention=attention["attention"],
    words=attention["words"].numpy().astype(str),
    mixed=signatures["mixed"](captions=twice, other_captions=twice[::-1], share=tf.zeros([4]), z=z)["images"],
    called=model(twice, seeds)["images"],
    called_without_seed=model(captions)["images"],
    without_seed=signatures["without_seed"](captions=captions)["images"],
    png_without_seed=[
        tf.io.decode_png(each) for each in signatures["png_without_seed"](captions=captions)["png_bytes"]
    ],
)
ours = {"xmcgan", "data_pipelines", "eval", "experiments"}
assert not ours & {name.split(".")[0] for name in sys.modules}
