"""Drawing images from captions with a trained model, from a run or from an export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models import hub_files
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.models.vocabulary import pieces_of_words, read_vocabulary
from xmcgan.serving.caption_to_image import CaptionToImage
from xmcgan.serving.saved_model import ExportedModel
from xmcgan.serving.signatures import signatures
from xmcgan.serving.versions import find_version
from xmcgan.training import checkpoints
from xmcgan.training.workdir import config_path, read_config


class AttentionMaps(NamedTuple):
    """Images, and the attention of their regions to words."""

    images: np.ndarray  # uint8 [batch, size, size, 3]
    attention: np.ndarray  # float32 [batch, 16, 16, words]: of each region over the words
    words: list[list[str]]  # The tokens of each caption, without padding


class Tokens(NamedTuple):
    """The tokens that the text encoder reads of a caption."""

    words: list[str]  # [CLS], words and pieces of words ('##' marks pieces that continue a word), [SEP]
    is_cut: bool  # Whether the caption has more tokens than these

    def notices(self) -> list[str]:
        """Returns sentences that tell a user which part of the caption the model does not read or know."""
        words = pieces_of_words(self.words[1:-1])
        names = ["".join(pieces) for pieces in words]
        # A vocabulary that was learned from captions has their words. It spells all others, letter by letter.
        unknown = [
            name
            for name, pieces in zip(names, words)
            if name == "[UNK]" or (len(pieces) > 2 and max(map(len, pieces)) == 1)
        ]
        notices = []
        if unknown:
            notices.append(f"This model was not trained on these words, and cannot draw them: {', '.join(unknown)}.")
        if self.is_cut:
            end = " ".join(names[-4:])
            notices.append(f"This model reads only the first {len(names)} words: “... {end}”. The rest is ignored.")
        return notices


class TextToImage:
    """Draws images from captions with a trained model.

      model = TextToImage.from_run("runs/demo")
      images = model(["a red ball on the beach"], seeds=[7])  # uint8 [1, 64, 64, 3]

    A caption and a seed give the same image, up to one level of 255, whatever else is in the batch. If the object is
    made within the scope of a strategy, `prepare` and `draw` use the strategy's devices.

    Attributes:
      name: of the model, such as 'demo, step 5200' (a run) or 'demo/2' (an export and its version).
      identity: the facts that determine the images, as JSON values.
      config: of the run that the model comes from; None if an export has no config.
      folder: of the run, or of the export's version; None for networks in memory.
      image_size: pixels per side.
      noise_dim: width of z.
      attends: whether the model has attention over words.
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
        """Makes the object; use `from_run`, `from_export` or `from_networks` instead.

        Args:
          model: draws the images.
          functions: the model's signatures, see `serving.signatures`.
          name: see the attributes, as for the next three.
          identity: the facts that determine the images.
          config: of the run.
          folder: of the run or the export.
        """
        self.name, self.identity, self.config, self.folder = name, dict(identity), config, folder
        self.image_size, self.noise_dim = model.image_size, model.noise_dim
        self.attends = "attention" in functions
        self._model, self._functions = model, functions

    @classmethod
    def load(cls, path: str, data_dir: str = "data", checkpoint: str = "latest") -> TextToImage:
        """Loads a run's model or an export, depending on what `path` is; see `from_run` and `from_export`."""
        is_of_run = is_run(handles.resolve_run(path))
        return cls.from_run(path, data_dir, checkpoint) if is_of_run else cls.from_export(path)

    @classmethod
    def from_run(cls, workdir: str, data_dir: str = "data", checkpoint: str = "latest") -> TextToImage:
        """Loads the averaged generator of a training run, and its text encoder.

        Args:
          workdir: the run's folder, or `pretrained:NAME`.
          data_dir: folder of all records.
          checkpoint: see `checkpoints.find`.

        Raises:
          FileNotFoundError: there is no such run or checkpoint, or its text encoder cannot be fetched.
          ValueError: the checkpoint or the text encoder cannot be read.
        """
        folder = handles.resolve_run(workdir)
        config = read_config(folder)
        path = checkpoints.find(folder, checkpoint)
        with checkpoints.held(folder, path) as held:
            model = CaptionToImage.from_checkpoint(config, held, data_dir)
        name, identity = _describe(folder, checkpoints.step_of(path))
        return cls(model, signatures(model), name, identity, config, folder)

    @classmethod
    def from_export(cls, path: str) -> TextToImage:
        """Loads a model that `python -m xmcgan.export` wrote.

        Args:
          path: folder of one version, or of the model's versions, from which the newest is loaded.

        Raises:
          FileNotFoundError: there is no model.
          ValueError: the SavedModel is broken, or was not written by `xmcgan.export`.
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
        """Uses networks that are in memory, whose weights may change later.

        Args:
          generator: made within the scope of the strategy that will run it, if any.
          text_encoder: the encoder that the generator was trained with, made in the same scope.
          config: of the run.
          workdir: the run's folder; if it is given, `restore` can load the run's checkpoints.
        """
        model = CaptionToImage(generator, text_encoder, config, read_vocabulary(text_encoder.preprocessor))
        return cls(model, signatures(model), "networks in memory", {}, config, workdir)

    @property
    def geometry(self) -> str | None:
        """How images became square in training, see `config.data.geometry`; None if an export has no config."""
        return self.config.data.geometry if self.config else None

    def restore(self, checkpoint: str) -> int:
        """Restores the averaged weights of another checkpoint of the same run.

        Args:
          checkpoint: path of the checkpoint.

        Returns:
          The step of the checkpoint.

        Raises:
          ValueError: the checkpoint is damaged or belongs to another generator, or this is an export.
        """
        if isinstance(self._model, ExportedModel):
            raise ValueError(f"{self.name} is an export, which has the weights of one step: give the run's folder")
        step = checkpoints.restore_generator(checkpoint, self._model.generator)
        self.name, self.identity = _describe(self.folder or "", step)
        return step

    def __call__(self, captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        """Draws one image for each caption and seed.

        Args:
          captions: any number of sentences.
          seeds: as many integers; each seed determines a noise vector.

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
        """Draws images from captions and noise [len(captions), noise_dim]: uint8 [len(captions), size, size, 3]."""
        return self._ask("from_noise", captions=_strings(captions), z=_floats(z))["images"]

    def mixed(
        self, captions: Sequence[str], others: Sequence[str], share: npt.ArrayLike, z: npt.ArrayLike
    ) -> np.ndarray:
        """Draws images, each of which lies between two captions.

        Args:
          captions: sentences.
          others: as many other sentences.
          share: the share of the other caption, [len(captions)] in [0, 1].
          z: noise, [len(captions), noise_dim].

        Returns:
          uint8 [len(captions), size, size, 3].
        """
        arguments = {"captions": _strings(captions), "other_captions": _strings(others), "share": _floats(share)}
        return self._ask("mixed", **arguments, z=_floats(z))["images"]

    def attention(self, captions: Sequence[str], z: npt.ArrayLike) -> AttentionMaps:
        """Draws images from captions and noise [len(captions), noise_dim], and returns the attention as well.

        Raises:
          ValueError: the model has no attention.
        """
        if not self.attends:
            raise ValueError(f"{self.name} was trained without attention over words: it has no attention maps")
        outputs = self._ask("attention", captions=_strings(captions), z=_floats(z))
        return AttentionMaps(outputs["images"], outputs["attention"], _words(outputs["words"]))

    def tokens(self, captions: Sequence[str]) -> list[Tokens]:
        """Returns the tokens that the text encoder reads of each caption."""
        outputs = self._ask("tokens", captions=_strings(captions))
        return [Tokens(words, bool(cut)) for words, cut in zip(_words(outputs["words"]), outputs["cut"])]

    def prepare(self, captions: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Prepares the inputs of `draw`; runs on the host, also within a tf.data `map`.

        Args:
          captions: [batch] string.
          seeds: [batch], integers.

        Returns:
          Tensors by name, [batch, ...].
        """
        return self._model.prepare(captions, seeds)

    def draw(self, prepared: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Draws images from prepared inputs; can run within a graph, and on a replica of the strategy.

        Args:
          prepared: from `prepare`.

        Returns:
          uint8 [batch, size, size, 3].
        """
        return self._model.draw(prepared)

    def _ask(self, signature: str, **inputs: tf.Tensor) -> dict[str, np.ndarray]:
        return {name: output.numpy() for name, output in self._functions[signature](**inputs).items()}


def is_run(path: str) -> bool:
    """Tells whether a folder is that of a training run, rather than an export."""
    return os.path.isdir(os.path.join(path, "checkpoints"))


def _describe(workdir: str, step: int) -> tuple[str, dict[str, Any]]:
    """Returns the name and the identity of a run's model."""
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
