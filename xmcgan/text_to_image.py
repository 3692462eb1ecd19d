"""A trained model in the hands of Python, of a run or of an export: captions in, images out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models import hub_files
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.models.vocabulary import read_vocabulary
from xmcgan.serving.caption_to_image import CaptionToImage
from xmcgan.serving.saved_model import ExportedModel
from xmcgan.serving.signatures import signatures
from xmcgan.serving.versions import find_version
from xmcgan.training import checkpoints
from xmcgan.training.workdir import config_path, read_config


class Attended(NamedTuple):
    """Images, and where the generator looked."""

    images: np.ndarray  # uint8 [batch, size, size, 3]
    attention: np.ndarray  # float32 [batch, 16, 16, words]: of each region over the words
    words: list[list[str]]  # The tokens of each caption, without padding


class Tokens(NamedTuple):
    """What the text encoder reads of a caption."""

    words: list[str]  # [CLS], words and pieces of words ('##' before those that go on with one), [SEP]
    is_cut: bool  # The caption has more.


class TextToImage:
    """Draws captions.

      model = TextToImage.from_run("runs/demo")
      images = model(["a red ball on the beach"], seeds=[7])  # uint8 [1, 64, 64, 3]

    A caption and a seed give the same image, to one level of 255, whatever else they are drawn with. Made within the
    scope of a strategy, it draws on the strategy's devices (`prepare` and `draw`).

    Attributes:
      name: of the model, such as 'demo, step 5200' (a run) or 'demo/2' (an export and its version).
      identity: what decides its images, as JSON values.
      config: of the run that it comes from; None where an export has lost it.
      folder: of the run, or of the export's version; None for networks in memory.
      image_size: pixels a side.
      noise_dim: width of z.
      attends: whether it can tell where it looked.
    """

    def __init__(
        self,
        model: CaptionToImage | ExportedModel,
        functions: Mapping[str, Callable[..., Mapping[str, tf.Tensor]]],
        name: str,
        identity: Mapping[str, Any],
        config: Config | None = None,
        folder: str | None = None,
    ):
        """See `from_run`, `from_export` and `from_networks`, which make it.

        Args:
          model: that draws.
          functions: its signatures, see `serving.signatures`.
          name: of the model.
          identity: what decides its images.
          config: of the run that it comes from.
          folder: where it comes from.
        """
        self.name, self.identity, self.config, self.folder = name, dict(identity), config, folder
        self.image_size, self.noise_dim = model.image_size, model.noise_dim
        self.attends = "attention" in functions
        self._model, self._functions = model, functions

    @classmethod
    def load(cls, path: str, data_dir: str = "data", checkpoint: str = "latest") -> TextToImage:
        """Loads a run's model or an export, told apart by what is there; see `from_run` and `from_export`."""
        return cls.from_run(path, data_dir, checkpoint) if is_run(path) else cls.from_export(path)

    @classmethod
    def from_run(cls, workdir: str, data_dir: str = "data", checkpoint: str = "latest") -> TextToImage:
        """Loads the averaged generator of a training run, and its text encoder.

        Args:
          workdir: the run's folder.
          data_dir: folder of all records.
          checkpoint: see `checkpoints.find`.

        Raises:
          FileNotFoundError: there is no such run or checkpoint, or its text encoder cannot be fetched.
          ValueError: one of them cannot be read.
        """
        config = read_config(workdir)
        path = checkpoints.find(workdir, checkpoint)
        model = CaptionToImage.from_checkpoint(config, path, data_dir)
        name, identity = _describe(workdir, checkpoints.step_of(path))
        return cls(model, signatures(model), name, identity, config, workdir)

    @classmethod
    def from_export(cls, path: str) -> TextToImage:
        """Loads what `python -m xmcgan.export` wrote.

        Args:
          path: folder of the model's versions, of which the newest is taken, or of one version.

        Raises:
          FileNotFoundError: there is no model.
          ValueError: it is another SavedModel, or broken.
        """
        folder = find_version(path)
        model = ExportedModel(folder)
        name = "/".join(os.path.abspath(folder).split(os.sep)[-2:])
        identity = {"export": name, "sha256": hub_files.saved_model_digest(folder)}
        config = read_config(folder) if os.path.isfile(config_path(folder)) else None
        return cls(model, model.signatures, name, identity, config, folder)

    @classmethod
    def from_networks(
        cls, generator: Generator, text_encoder: TextEncoder, config: Config, workdir: str | None = None
    ) -> TextToImage:
        """Takes networks that are in memory, whose weights may go on changing.

        Args:
          generator: made within the scope of the strategy that is to run it, if any.
          text_encoder: that it was trained with, made there too.
          config: of the run.
          workdir: the run's folder, whose checkpoints can be restored then.
        """
        model = CaptionToImage(generator, text_encoder, config, read_vocabulary(text_encoder.preprocessor))
        return cls(model, signatures(model), "networks in memory", {}, config, workdir)

    def restore(self, checkpoint: str) -> int:
        """Goes on with the averaged weights of another checkpoint of its run.

        Args:
          checkpoint: its path.

        Returns:
          The step of the checkpoint.

        Raises:
          ValueError: the checkpoint is damaged or of another generator, or this is an export.
        """
        if isinstance(self._model, ExportedModel):
            raise ValueError(f"{self.name} is an export, which has the weights of one step: give the run's folder")
        step = checkpoints.restore_generator(checkpoint, self._model.generator)
        self.name, self.identity = _describe(self.folder or "", step)
        return step

    def __call__(self, captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        """Draws captions.

        Args:
          captions: sentences, any number of them.
          seeds: as many integers; a seed names a noise vector.

        Returns:
          uint8 [len(captions), size, size, 3].

        Raises:
          ValueError: there are not as many seeds as captions.
        """
        if len(captions) != len(seeds):
            raise ValueError(f"{len(captions)} captions and {len(seeds)} seeds: give as many of each")
        return self._ask("serving_default", captions=_strings(captions), seed=_seeds(seeds))["images"]

    def noise(self, seeds: Sequence[int]) -> np.ndarray:
        """Draws the noise vectors of seeds, float32 [len(seeds), noise_dim]."""
        return self._ask("noise", seed=_seeds(seeds))["z"]

    def from_noise(self, captions: Sequence[str], z: npt.ArrayLike) -> np.ndarray:
        """Draws captions from noise [len(captions), noise_dim]: uint8 [len(captions), size, size, 3]."""
        return self._ask("from_noise", captions=_strings(captions), z=_floats(z))["images"]

    def mixed(
        self, captions: Sequence[str], others: Sequence[str], share: npt.ArrayLike, z: npt.ArrayLike
    ) -> np.ndarray:
        """Draws what lies between captions and others.

        Args:
          captions: sentences.
          others: as many other sentences.
          share: of the others, [len(captions)] in [0, 1].
          z: noise, [len(captions), noise_dim].

        Returns:
          uint8 [len(captions), size, size, 3].
        """
        arguments = {"captions": _strings(captions), "other_captions": _strings(others), "share": _floats(share)}
        return self._ask("mixed", **arguments, z=_floats(z))["images"]

    def attention(self, captions: Sequence[str], z: npt.ArrayLike) -> Attended:
        """Draws captions from noise [len(captions), noise_dim], and tells where it looked.

        Raises:
          ValueError: the model has no attention.
        """
        if not self.attends:
            raise ValueError(f"{self.name} was trained without attention over words: it has no attention maps")
        outputs = self._ask("attention", captions=_strings(captions), z=_floats(z))
        return Attended(outputs["images"], outputs["attention"], _words(outputs["words"]))

    def tokens(self, captions: Sequence[str]) -> list[Tokens]:
        """Tells what the text encoder reads of captions."""
        outputs = self._ask("tokens", captions=_strings(captions))
        return [Tokens(words, bool(cut)) for words, cut in zip(_words(outputs["words"]), outputs["cut"])]

    def prepare(self, captions: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes what `draw` takes: on the host, also within a tf.data `map`.

        Args:
          captions: [batch] string.
          seeds: [batch], integers.

        Returns:
          Tensors by name, [batch, ...].
        """
        return self._model.prepare(captions, seeds)

    def draw(self, prepared: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Draws what was prepared, as tensors: within a graph, and on a replica of the strategy.

        Args:
          prepared: by `prepare`.

        Returns:
          uint8 [batch, size, size, 3].
        """
        return self._model.draw(prepared)

    def _ask(self, signature: str, **inputs: tf.Tensor) -> dict[str, np.ndarray]:
        return {name: output.numpy() for name, output in self._functions[signature](**inputs).items()}


def is_run(path: str) -> bool:
    """Tells whether a folder is that of a training run, as opposed to an export."""
    return os.path.isdir(os.path.join(path, "checkpoints"))


def _describe(workdir: str, step: int) -> tuple[str, dict[str, Any]]:
    """The name and the identity of a run's model."""
    run = os.path.basename(os.path.abspath(workdir))
    return f"{run}, step {step}", {"run": run, "step": step, "weights": "averaged"}


def _words(rows: np.ndarray) -> list[list[str]]:
    return [[word.decode() for word in row if word] for row in rows]


def _strings(captions: Sequence[str]) -> tf.Tensor:
    return tf.constant(list(captions), tf.string, shape=[len(captions)])


def _seeds(seeds: Sequence[int]) -> tf.Tensor:
    return tf.constant(list(seeds), tf.int64, shape=[len(seeds)])


def _floats(values: npt.ArrayLike) -> tf.Tensor:
    return tf.constant(np.asarray(values), tf.float32)
