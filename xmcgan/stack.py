"""The one place that knows how versions of TensorFlow differ: it chooses Keras 2.

TensorFlow 2.15 contains Keras 2. Later versions use Keras 3, unless the environment asks for Keras 2, which is then the
package `tf_keras`. TensorFlow reads this when `tf.keras` is first used.
"""

from __future__ import annotations

import os
import sys


def choose_keras_2() -> None:
    """Makes `tf.keras` Keras 2, from the package `tf_keras`; `import xmcgan` calls this.

    Raises:
      ImportError: `tf.keras` is in use, and is another version.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    tensorflow = sys.modules.get("tensorflow")
    version = tensorflow and getattr(tensorflow.keras, "__version__", None)  # Keras 2 states none here.
    if version:
        raise ImportError(
            f"xmcgan needs Keras 2, but TensorFlow uses Keras {version} already: import xmcgan before anything that "
            "uses tf.keras, or set the environment variable TF_USE_LEGACY_KERAS=1"
        )


def keep_autograph_off_keras() -> None:
    """Keeps AutoGraph from rewriting Keras itself, which takes seconds and changes nothing; imports TensorFlow.

    TensorFlow leaves out the libraries that it knows. Keras 2 is among them as `keras`, but as `tf_keras` only from
    TensorFlow 2.16 on.
    """
    from tensorflow.python.autograph.core import config

    if not any(getattr(rule, "_prefix", None) == "tf_keras" for rule in config.CONVERSION_RULES):
        config.CONVERSION_RULES += (config.DoNotConvert("tf_keras"),)
