"""Weights of the networks in tf.keras.applications: downloaded by Keras or read from a file, with one-line errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from xmcgan.models.hub_files import connection_timeout, one_line


@contextlib.contextmanager
def downloading(name: str) -> Iterator[None]:
    """Explains failed downloads; wraps the construction of a network with weights='imagenet'.

    Args:
      name: the name that the user knows, such as the config field 'image_encoder.weights'; the message begins with it.

    Raises:
      FileNotFoundError: the download failed; names the file to fetch by hand.
    """
    try:
        with connection_timeout():
            yield
    except Exception as error:  # Keras raises a bare Exception, with the file's URL, when its download fails.
        if "URL fetch failure" not in str(error):
            raise
        raise FileNotFoundError(
            f"{name}: the ImageNet weights cannot be downloaded ({one_line(error)}): fetch that file by hand, "
            f"and pass {name}=FILE"
        ) from error


def check_file(path: str, name: str) -> None:
    """Raises an error if a user's weights file does not exist: call it before a network is built, which takes seconds.

    Args:
      path: of the weights file.
      name: the name that the user knows; the message begins with it.

    Raises:
      FileNotFoundError: the file does not exist.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{name}='{path}' does not exist: pass a Keras weights file (.h5), or leave {name} at its default"
        )


@contextlib.contextmanager
def reading(path: str, name: str, network: str) -> Iterator[None]:
    """Explains weights files that cannot be read; wraps `load_weights` from a user's file.

    Args:
      path: of the weights file.
      name: the name that the user knows; error messages begin with it.
      network: the network that the file must belong to, in words.

    Raises:
      ValueError: the file is broken, or belongs to another network.
    """
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{name}='{path}' does not hold weights of {network} ({one_line(error)}): "
            f"pass a Keras weights file of that network, or leave {name} at its default"
        ) from error
