"""The contents of the paper's figures of images, as rows of a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import input_pipeline, records
from data_pipelines.images import decode_image, square_image
from experiments.paper_figures.layout import Cell, Row
from xmcgan.display.heat_maps import heat_maps, whole_words
from xmcgan.noise import interpolate
from xmcgan.text_to_image import TextToImage

_STEPS = 9  # Images of an interpolation, both ends included.
_LONGEST_ROW = 12  # Images in a row of attention maps; further words go to the next row.


class Sheet(NamedTuple):
    """Rows and the titles of their columns."""

    rows: list[Row]
    titles: list[str]


def noise_sheet(models: Mapping[str, TextToImage], captions: Sequence[str], seeds: Sequence[int]) -> Sheet:
    """Draws each model's images of each caption, from several noise vectors (Fig. 8)."""
    rows = []
    for caption in captions:
        for name, model in models.items():
            drawn = model([caption] * len(seeds), seeds)
            label = f"{caption} ({name})" if len(models) > 1 else caption
            rows.append(Row([Cell(image) for image in drawn], label))
    return Sheet(rows, [f"z {seed}" for seed in seeds])


def captions_sheet(
    model: TextToImage,
    dataset: str,
    data_dir: str,
    num_images: int,
    seed: int,
    *,
    geometry: str = "squash",
    most_captions: int = 5,
) -> Sheet:
    """Draws random validation images, each followed by images generated from its captions (Fig. 9)."""
    rows = []
    for image, captions in _described_images(dataset, data_dir, num_images, seed, model.image_size, geometry):
        captions = captions[:most_captions]
        drawn = model(captions, [seed] * len(captions))
        rows.append(Row([Cell(image, "real"), *map(Cell, drawn, captions)]))
    return Sheet(rows, [])


def models_sheet(
    models: Mapping[str, TextToImage],
    dataset: str,
    data_dir: str,
    num_captions: int,
    seed: int,
    *,
    geometry: str = "squash",
) -> Sheet:
    """Draws, for random captions, the real image and each model's image side by side (Figs. 10 to 12)."""
    image_size = max(model.image_size for model in models.values())
    batches = input_pipeline.evaluation_batches(
        dataset,
        "validation",
        data_dir,
        batch_size=num_captions,
        image_size=image_size,
        geometry=geometry,
        num_captions=num_captions,
        seed=seed,
    )
    batch = next(iter(batches))
    captions = [caption.decode() for caption in batch.caption.numpy()]
    columns = [batch.image.numpy(), *(model(captions, [seed] * num_captions) for model in models.values())]
    rows = [Row([Cell(column[i]) for column in columns], caption) for i, caption in enumerate(captions)]
    return Sheet(rows, ["original", *models])


def ways_sheet(model: TextToImage, captions: Sequence[str], seeds: Sequence[int]) -> Sheet:
    """Interpolates from each caption to the next, and from the first noise vector to each of the others."""
    shares = np.linspace(0.0, 1.0, _STEPS)
    noise = model.noise(seeds)
    rows = []
    for first, second in zip(captions, captions[1:]):
        z = np.repeat(noise[:1], len(shares), axis=0)
        drawn = model.mixed([first] * len(shares), [second] * len(shares), shares, z)
        rows.append(Row([Cell(image) for image in drawn], f"{first} → {second}"))
    for seed, z in zip(seeds[1:], noise[1:]):
        drawn = model.from_noise([captions[0]] * len(shares), interpolate(noise[0], z, shares))
        rows.append(Row([Cell(image) for image in drawn], f"{captions[0]}, z {seeds[0]} → z {seed}"))
    return Sheet(rows, [])


def attention_sheet(model: TextToImage, captions: Sequence[str], seed: int) -> Sheet:
    """Draws each caption's image, and the generator's attention map of each of its words.

    Raises:
      ValueError: the generator has no attention.
    """
    noise = np.repeat(model.noise([seed]), len(captions), axis=0)
    attended = model.attention(captions, noise)
    rows = []
    for caption, image, attention, tokens in zip(captions, *attended):
        words, word_attention = whole_words(tokens, attention)
        cells = [Cell(image)]
        cells += [
            Cell(map_, f"{word} {share:.0%}")
            for map_, word, share in zip(heat_maps(image, word_attention), words, word_attention.mean(axis=(0, 1)))
        ]
        for first in range(0, len(cells), _LONGEST_ROW):
            rows.append(Row(cells[first : first + _LONGEST_ROW], caption if first == 0 else ""))
    return Sheet(rows, [])


def _described_images(
    dataset: str, data_dir: str, count: int, seed: int, image_size: int, geometry: str
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yields random validation images, uint8 [size, size, 3], with all of their captions."""
    builder = records.open_dataset(dataset, data_dir)
    size = builder.info.splits["validation"].num_examples
    chosen = set(np.random.default_rng(seed).permutation(size)[:count].tolist())
    decoders = {"image": tfds.decode.SkipDecoding()}
    examples = builder.as_dataset(split="validation", decoders=decoders, shuffle_files=False)
    for number, example in enumerate(tfds.as_numpy(examples)):
        if number in chosen:
            record = records.from_example(example)
            image = square_image(decode_image(record.image), image_size, geometry)
            yield image.numpy(), list(record.captions)
