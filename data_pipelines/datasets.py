"""The registry of datasets: the description, builder, published files and default experiment of each.

No other module knows their names. To add a dataset, write its builder and an entry here (see CONTRIBUTING.md). The
datasets that users make of their own images have names too: those that they gave them, see `own_datasets`.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from typing import TYPE_CHECKING, Callable

from data_pipelines import own_datasets, published_files
from data_pipelines.published_files import Published
from xmcgan import handles
from xmcgan.config import (
    Config,
    DataConfig,
    DiscriminatorConfig,
    EvaluationConfig,
    GeneratorConfig,
    ImageEncoderConfig,
    LossConfig,
    TextConfig,
    TrainingConfig,
)

if TYPE_CHECKING:  # Builders import TFDS, which takes seconds. Only a conversion needs them.
    from data_pipelines.builders.image_builder import ImageBuilder


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset.

    Attributes:
      name: its name on the command line, in paths and in configs.
      description: what its images show, for model cards.
      example: a typical caption.
      builder_class: its TFDS builder, as 'module:class'.
      config: returns a new config of the default experiment on it.
      published: the files that its owner publishes; None if they are not published.
      is_drawn: whether this package draws the images. If so, its records and the networks that its config names by
        `<name>:...` are prepared on first use, since networks trained on photographs do not suit drawn images.
    """

    name: str
    description: str
    example: str
    builder_class: str
    config: Callable[[], Config]
    published: Published | None = None
    is_drawn: bool = False

    def builder(self) -> type[ImageBuilder]:
        """Returns the class that converts its files into records."""
        module, _, name = self.builder_class.partition(":")
        return getattr(importlib.import_module(module), name)


def _coco2014() -> Config:
    return Config(dataset="coco2014")


def _ln_coco() -> Config:
    # No flips, because narratives say what is on the left and on the right.
    return Config(dataset="ln_coco", data=DataConfig(text_length=64, random_flip=False))


def _ln_openimages() -> Config:
    return Config(dataset="ln_openimages", data=DataConfig(text_length=64, random_flip=False))


def _scenes() -> Config:
    """Returns a small experiment that trains in minutes on a machine without a GPU."""
    return Config(
        dataset="scenes",
        data=DataConfig(image_size=64, text_length=17, random_flip=False),
        text=TextConfig(preprocessor="scenes:bert/preprocessor", encoder="scenes:bert/encoder", dim=128),
        # Softer word contexts. Without them, the generator draws squares the size of the 16 x 16 regions before it
        # draws shapes.
        generator=GeneratorConfig(channels=8, noise_dim=32, condition_dim=64, context_words="normalized", rho_0=5.0),
        discriminator=DiscriminatorConfig(channels=8),
        # The image encoder is prepared only if one of its losses is switched on, as in Table 4's VGG rows.
        image_encoder=ImageEncoderConfig(architecture="hub", weights="scenes:image_encoder", layer="", image_size=64),
        losses=LossConfig(generator_image_encoder=0.0),
        # Small batches and equal, higher learning rates. With the paper's rates D outruns G at this size, and on two
        # cores the number of steps matters most.
        training=TrainingConfig(
            batch_size=16,
            num_steps=5200,
            update_rule="joint",
            discriminator_steps=1,
            generator_learning_rate=1e-3,
            discriminator_learning_rate=1e-3,
            ema_decay=0.995,
            sample_every=500,
            checkpoint_every=500,
        ),
        evaluation=EvaluationConfig(
            num_samples=2500,
            network="scenes",
            network_weights="scenes:evaluators/recognizer",
            dual_encoder="scenes:evaluators/dual_encoder",
            detector="scenes:evaluators/recognizer",
            detector_labels="scenes",
            kernel_subset_size=500,
        ),
    )


def _reference() -> Config:
    """Returns the choices of the public JAX release where they differ from the paper."""
    return Config(
        text=TextConfig(sentence_pooling="sum_over_length"),
        generator=GeneratorConfig(stem="noise", context_words="normalized", batch_norm_replicas=1),
        image_encoder=ImageEncoderConfig(architecture="resnet50", layer="logits"),
        losses=LossConfig(context_regions="normalized", negatives="replica"),
        training=TrainingConfig(update_rule="joint"),
        evaluation=EvaluationConfig(network="keras", inception_score_splits=1),
    )


_PHOTOGRAPH = "a red bus in front of a white house"
_ENTRIES = (
    Dataset(
        name="coco2014",
        description="COCO-14: photographs of everyday scenes with captions by people",
        example=_PHOTOGRAPH,
        builder_class="data_pipelines.builders.coco2014:Coco2014",
        config=_coco2014,
        published=Published(published_files.COCO2014),
    ),
    Dataset(
        name="ln_coco",
        description="Localized Narratives of COCO: long spoken descriptions of photographs",
        example=_PHOTOGRAPH,
        builder_class="data_pipelines.builders.ln_coco:LnCoco",
        config=_ln_coco,
        published=Published(
            published_files.LN_COCO_NARRATIVES + published_files.COCO2017,
            light_files=published_files.LN_COCO_CAPTIONS + published_files.COCO2017,
        ),
    ),
    Dataset(
        name="ln_openimages",
        description="Localized Narratives of Open Images: long spoken descriptions of photographs",
        example=_PHOTOGRAPH,
        builder_class="data_pipelines.builders.ln_openimages:LnOpenImages",
        config=_ln_openimages,
        published=Published(
            published_files.LN_OPENIMAGES_NARRATIVES,
            light_files=published_files.LN_OPENIMAGES_CAPTIONS,
            image_folders=published_files.OPEN_IMAGES_FOLDERS,
        ),
    ),
    Dataset(
        name="scenes",
        description="drawn scenes: 1 to 3 objects of 8 kinds and 8 colors on 8 backgrounds, at 64 px. A toy that shows "
        "that everything works; it knows no other words and draws nothing else",
        example="a red ball on the beach",
        builder_class="data_pipelines.builders.coco2014:Scenes",
        config=_scenes,
        is_drawn=True,
    ),
)
_DATASETS = {entry.name: entry for entry in _ENTRIES}
NAMES = tuple(_DATASETS)
# Configs to start from: one for each dataset, and the one of the JAX release.
PRESETS = (*NAMES, "reference")
# What `convert --dataset` calls any folder of images with captions; the dataset made of it has the user's name.
CAPTIONED_IMAGES = "captioned_images"
# Names that a user's own dataset cannot have. `pretrained:NAME` is a model, where `birds:NAME` is a network of birds.
TAKEN = (*PRESETS, CAPTIONED_IMAGES, handles.PRETRAINED.rstrip(":"))
_CAPTIONED_IMAGES_BUILDER = "data_pipelines.builders.captioned_images:CaptionedImages"


def names(data_dir: str | os.PathLike | None = None) -> tuple[str, ...]:
    """Returns the names of all datasets.

    Args:
      data_dir: folder of all records, whose datasets of users' own images are known too; None for none.
    """
    return (*NAMES, *(own_datasets.find(data_dir) if data_dir is not None else ()))


def is_drawn(name: str) -> bool:
    """Returns whether this package draws the images of a dataset; it does not draw users' own."""
    return name in _DATASETS and _DATASETS[name].is_drawn


def get(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """Returns the dataset of that name.

    Args:
      name: of the dataset.
      data_dir: folder of all records, where a dataset of a user's own images is found by its records.

    Raises:
      ValueError: no dataset has this name; the message lists all names.
    """
    if name in _DATASETS:
        return _DATASETS[name]
    known = names(data_dir)
    if data_dir is None or name not in known:
        own = f", or the name of your own images if they were converted into {data_dir}" if data_dir is not None else ""
        raise ValueError(f"unknown dataset '{name}': choose one of {', '.join(known)}{own}")
    facts = own_datasets.read_facts(name, data_dir)
    return Dataset(
        name=name,
        description=f"{name}: images with captions of a user's own",
        example=facts.example,
        builder_class=_CAPTIONED_IMAGES_BUILDER,
        config=lambda: Config(dataset=name).with_fields(facts.fields),
    )


def preset(name: str, dataset: str = "", data_dir: str | os.PathLike | None = None) -> Config:
    """Returns the preset config called `name`.

    Args:
      name: one of PRESETS, or the name of a dataset of a user's own images.
      dataset: the dataset to use the preset with, if it is not the preset's own. The fields that belong to a dataset
        then come from it: text length, flips and text encoder, and for a drawn dataset also the image encoder and the
        networks of the metrics.
      data_dir: folder of all records, see `get`.

    Returns:
      A new `Config`.

    Raises:
      ValueError: `name` is not a preset, or `dataset` is not a dataset.
    """
    config = _reference() if name == "reference" else get(name, data_dir).config()
    if dataset in ("", config.dataset):
        return config
    entry = get(dataset, data_dir)
    own = entry.config()
    config.dataset = dataset
    config.data.text_length, config.data.random_flip = own.data.text_length, own.data.random_flip
    config.text = dataclasses.replace(own.text, sentence_pooling=config.text.sentence_pooling)
    if entry.is_drawn:
        splits = config.evaluation.inception_score_splits
        config.evaluation = dataclasses.replace(own.evaluation, inception_score_splits=splits)
        config.image_encoder = own.image_encoder
    return config
