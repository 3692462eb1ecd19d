"""Networks as SavedModels from TF Hub or a local folder, identified by digests of their content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping

import tensorflow as tf
import tensorflow_hub as hub

from xmcgan.home_folder import path_in_environment
from xmcgan.literal_paths import literal_folder

_CONNECTION_TIMEOUT = 20.0  # Seconds; without one, a firewall that drops packets delays the start by minutes.
# The files that determine a SavedModel's outputs; the digest leaves out Keras' metadata, licenses and stray files.
_GRAPH, _FOLDERS = "saved_model.pb", ("assets", "variables")
_CHUNK = 1 << 20


def load(handle: str, name: str) -> tf.Module:
    """Fetches (unless cached) and loads a SavedModel; one in TF1's Hub format has only `signatures`.

    Create it inside `strategy.scope()`: every device then holds its own copy of the weights.

    Args:
      handle: TF-Hub handle, or folder of a SavedModel.
      name: the name that the user knows, such as the config field 'text.encoder'; error messages begin with it.

    Returns:
      The SavedModel.

    Raises:
      FileNotFoundError: the handle cannot be fetched, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken.
    """
    check(handle, name)
    folder = _fetch(handle, name) if "://" in handle else handle
    try:
        return hub.load(literal_folder(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"{name}='{handle}': the SavedModel in '{folder}' cannot be read "
            f"({one_line(error)}): remove that folder and fetch it again"
        ) from error


def check(handle: str, name: str) -> None:
    """Checks that a folder holds a SavedModel, without loading it; a TF-Hub handle is not checked.

    Raises:
      FileNotFoundError: it does not; see `load` for the arguments.
    """
    if "://" in handle or tf.io.gfile.exists(os.path.join(handle, _GRAPH)):
        return
    found = f"this folder holds no SavedModel (no {_GRAPH})" if os.path.isdir(handle) else "there is no such folder"
    raise FileNotFoundError(f"{name}='{handle}': {found}: pass {name}=FOLDER, or a TF-Hub handle")


def save_functions(
    folder: str | os.PathLike,
    functions: Mapping[str, Callable],
    variables: Mapping[str, Iterable[tf.Variable]],
    **parts: tf.Module,
) -> None:
    """Saves functions, their variables, and nothing else.

    If a Keras layer were part of a SavedModel, Keras would also save functions of each layer, in its own format. These
    take most of the time in which a network is saved, and loaded again by whoever uses it.

    Args:
      folder: folder of the SavedModel, which is overwritten.
      functions: `tf.function`s with a signature, by the names of the loaded object's methods.
      variables: all variables that the functions use, in lists, by the names of the loaded object's attributes.
      **parts: what else the functions use, such as a tokenizer with its tables; without Keras layers.
    """
    saved = tf.train.Checkpoint()  # A trackable object whose attributes are saved, whatever their names.
    for name, value in {**functions, **parts}.items():
        setattr(saved, name, value)
    for name, values in variables.items():
        setattr(saved, name, list(values))
    tf.saved_model.save(saved, os.fspath(folder))


def is_fetched(handle: str) -> bool:
    """Tells whether a SavedModel can be loaded without a network: a handle in TF Hub's cache, or a folder."""
    folder = handle
    if "://" in handle:
        _choose_cache()
        folder = os.path.join(os.environ["TFHUB_CACHE_DIR"], hashlib.sha1(handle.encode()).hexdigest())
    return tf.io.gfile.exists(os.path.join(folder, _GRAPH))


def saved_model_digest(handle: str) -> str:
    """Returns the SHA-256 of a SavedModel's content, in hexadecimal; it is the same wherever the SavedModel is stored.

    Call it after `load`, which fetches the SavedModel and explains failures better.

    Args:
      handle: TF-Hub handle, or folder of a SavedModel.
    """
    folder = hub.resolve(handle)
    digest = hashlib.sha256()
    for name in sorted(_files(folder)):
        path = os.path.join(folder, name)
        digest.update(f"{name}\0{tf.io.gfile.stat(path).length}\0".encode())
        with tf.io.gfile.GFile(path, "rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def weights_digest(variables: Iterable[tf.Variable]) -> str:
    """Returns the SHA-256 of the shapes and values of weights, in hexadecimal; their names and storage do not matter.

    Args:
      variables: the weights, in an order that the network fixes, such as a Keras model's `variables`.
    """
    digest = hashlib.sha256()
    for variable in variables:
        value = variable.numpy()
        digest.update(f"{value.dtype.str}{list(value.shape)}\0".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def connection_timeout(seconds: float = _CONNECTION_TIMEOUT) -> Iterator[None]:
    """Sets a timeout for new network connections; neither TF Hub nor Keras has an argument for it."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)


def one_line(error: BaseException) -> str:
    """Returns an error's message in one short line, to be quoted in another message."""
    if "0 MetaGraphs" in str(error):  # TensorFlow then speaks of an argument of its own.
        return f"its {_GRAPH} is empty or cut off"
    return textwrap.shorten(str(error), 200, placeholder=" ...") or type(error).__name__


def _fetch(handle: str, name: str) -> str:
    """Downloads a handle into TF Hub's cache, and returns its folder there."""
    _choose_cache()
    try:
        with connection_timeout():
            return hub.resolve(handle)
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        compressed = f"{handle}?tf-hub-format=compressed" if handle.startswith("http") else handle
        raise FileNotFoundError(
            f"{name}='{handle}' cannot be fetched ({one_line(error)}): fetch {compressed} by hand, "
            f"unpack it (tar -xzf) into a folder, and pass {name}=FOLDER"
        ) from error


def _choose_cache() -> None:
    """Sets a cache of the user's own, unless TFHUB_CACHE_DIR names one.

    TF Hub's default is a folder in the system's temporary one. Other users can put a SavedModel there, which is a
    program, under the name of one that we would fetch.

    Raises:
      OSError: the cache cannot be made, or belongs to another user.
      ValueError: the environment variable names the home folder of a user that does not exist.
    """
    given = path_in_environment("TFHUB_CACHE_DIR")
    if given:
        os.environ["TFHUB_CACHE_DIR"] = given
        return
    parent = path_in_environment("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if parent.startswith("~"):  # In a container, the user may be unknown.
        raise OSError("this user has no home folder: set TFHUB_CACHE_DIR to a folder for networks from TF Hub")
    folder = os.path.join(parent, "tfhub_modules")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        owner = os.stat(folder).st_uid
    except OSError as error:
        raise OSError(
            f"{folder}: {error.strerror}: set TFHUB_CACHE_DIR to a folder for networks from TF Hub"
        ) from error
    if owner != os.getuid():
        raise OSError(f"{folder} belongs to another user: set TFHUB_CACHE_DIR to a folder of your own")
    os.environ["TFHUB_CACHE_DIR"] = folder


def _files(folder: str) -> Iterator[str]:
    """Yields the names of the files that determine the outputs, relative to the folder, with forward slashes."""
    yield _GRAPH
    for part in _FOLDERS:
        for parent, _, names in tf.io.gfile.walk(os.path.join(folder, part)):
            for name in names:
                yield os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")
