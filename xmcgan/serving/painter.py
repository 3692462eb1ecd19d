"""A model in the hands of Python, exported or of a run: arrays in, arrays out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the tokenizer)

from xmcgan.models import hub_files
from xmcgan.serving import of_run
from xmcgan.serving.signatures import signatures
from xmcgan.serving.versions import find_version
from xmcgan.training import checkpoints
from xmcgan.training.workdir import read_config

_NEEDED = ("serving_default", "from_noise", "mixed", "noise", "tokens")


class Attended(NamedTuple):
    """Images, and where the generator looked."""

    images: np.ndarray  # uint8 [batch, size, size, 3]
    attention: np.ndarray  # float32 [batch, 16, 16, words]: of each region over the words
    words: list[list[str]]  # The tokens of each caption, without padding


class Tokens(NamedTuple):
    """What the text encoder reads of a caption."""

    words: list[str]  # [CLS], words and pieces of words ('##' before those that go on with one), [SEP]
    is_cut: bool  # The caption has more.


class Painter:
    """Draws captions.

    Attributes:
      name: of the model, such as 'demo/2' (an export and its version) or 'demo, step 5200' (a run).
      image_size: pixels a side.
      noise_dim: width of z.
      attends: whether it can tell where it looked.
    """

    def __init__(
        self,
        name: str,
        functions: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
        image_size: int,
        owner: object = None,
    ):
        """Args:
        name: of the model.
        functions: its signatures, see `serving.signatures`.
        image_size: pixels a side.
        owner: whatever must live as long as they do.
        """
        self.name, self.image_size, self._owner = name, image_size, owner
        self.attends = "attention" in functions
        self._functions = functions
        self.noise_dim = self.noise([0]).shape[1]

    def __call__(self, captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        """Draws captions: uint8 [len(captions), size, size, 3], one for each caption and seed."""
        return self._ask("serving_default", captions=_strings(captions), seed=_seeds(seeds))["images"]

    def noise(self, seeds: Sequence[int]) -> np.ndarray:
        """The noise vectors of seeds, float32 [len(seeds), noise_dim]."""
        return self._ask("noise", seed=_seeds(seeds))["z"]

    def from_noise(self, captions: Sequence[str], z: np.ndarray) -> np.ndarray:
        """Draws captions from noise [len(captions), noise_dim]: uint8 [len(captions), size, size, 3]."""
        return self._ask("from_noise", captions=_strings(captions), z=_floats(z))["images"]

    def mixed(
        self, captions: Sequence[str], others: Sequence[str], share: Sequence[float], z: np.ndarray
    ) -> np.ndarray:
        """Draws what lies between captions and others, at shares in [0, 1] of the others: uint8 images."""
        arguments = {"captions": _strings(captions), "other_captions": _strings(others), "share": _floats(share)}
        return self._ask("mixed", **arguments, z=_floats(z))["images"]

    def attention(self, captions: Sequence[str], z: np.ndarray) -> Attended:
        """Draws captions from noise [len(captions), noise_dim], and tells where it looked.

        Raises:
          ValueError: the model has no attention.
        """
        if not self.attends:
            raise ValueError(f"{self.name} was trained without attention over words: it has no attention maps")
        outputs = self._ask("attention", captions=_strings(captions), z=_floats(z))
        return Attended(outputs["images"], outputs["attention"], _words(outputs["words"]))

    def tokens(self, captions: Sequence[str]) -> list[Tokens]:
        """What the text encoder reads of captions."""
        outputs = self._ask("tokens", captions=_strings(captions))
        return [Tokens(words, bool(cut)) for words, cut in zip(_words(outputs["words"]), outputs["cut"])]

    def _ask(self, signature: str, **inputs: tf.Tensor) -> dict[str, np.ndarray]:
        return {name: output.numpy() for name, output in self._functions[signature](**inputs).items()}


def load_export(path: str) -> Painter:
    """A model that `python -m xmcgan.export` wrote.

    Args:
      path: folder of the model's versions, of which the newest is taken, or of one version.

    Raises:
      FileNotFoundError: there is no model.
      ValueError: it is another SavedModel, or broken.
    """
    folder = find_version(path)
    try:
        loaded = tf.saved_model.load(folder)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ValueError(f"{folder} cannot be read ({hub_files.one_line(error)}): export the model again") from error
    missing = [name for name in _NEEDED if name not in loaded.signatures]
    if missing:
        raise ValueError(
            f"{folder} is no model of xmcgan.export (it has no signature '{missing[0]}'): pass what that wrote"
        )
    image_size = loaded.signatures["serving_default"].structured_outputs["images"].shape[1]
    name = "/".join(os.path.abspath(folder).split(os.sep)[-2:])
    return Painter(name, loaded.signatures, image_size, owner=loaded)  # The variables go when `loaded` goes.


def load_run(workdir: str, data_dir: str, checkpoint: str = "latest") -> Painter:
    """The model of a training run.

    Args:
      workdir: the run's folder.
      data_dir: folder of all records.
      checkpoint: see `checkpoints.find`.

    Raises:
      FileNotFoundError, ValueError: there is no such run or checkpoint, or its text encoder cannot be loaded.
    """
    path = checkpoints.find(workdir, checkpoint)
    model = of_run.load_model(read_config(workdir), path, data_dir)
    name = f"{os.path.basename(os.path.abspath(workdir))}, step {checkpoints.step_of(path)}"
    return Painter(name, signatures(model), model.image_size)


def load(path: str, data_dir: str) -> Painter:
    """The model of an export or of a run's newest checkpoint, told apart by what is there."""
    is_run = os.path.isdir(os.path.join(path, "checkpoints"))
    return load_run(path, data_dir) if is_run else load_export(path)


def _words(rows: np.ndarray) -> list[list[str]]:
    return [[word.decode() for word in row if word] for row in rows]


def _strings(captions: Sequence[str]) -> tf.Tensor:
    return tf.constant(list(captions), tf.string, shape=[len(captions)])


def _seeds(seeds: Sequence[int]) -> tf.Tensor:
    return tf.constant(list(seeds), tf.int64, shape=[len(seeds)])


def _floats(values: np.ndarray | Sequence[float]) -> tf.Tensor:
    return tf.constant(np.asarray(values), tf.float32)
