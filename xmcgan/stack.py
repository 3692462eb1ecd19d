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
