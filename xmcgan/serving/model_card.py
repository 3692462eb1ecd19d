"""The model card of an export: a README.md in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xmcgan import config as config_lib
from xmcgan import escapes
from xmcgan.config import Config

# The config fields that the card lists, in this order.
_FIELDS = (
    "data.image_size",
    "data.text_length",
    "text.encoder",
    "text.sentence_pooling",
    "generator.channels",
    "generator.noise_dim",
    "generator.modulation",
    "discriminator.channels",
    "training.batch_size",
    "training.update_rule",
)
_HOW = """\
## How to use it

| signature | inputs | outputs |
| --- | --- | --- |
{signatures}

- `captions`, `other_captions`: string [N], where N is any number. They are cut off after {text_length} tokens, [CLS]
  and [SEP] included, as in training.
- `seed`: int64 [N], or one for all; `serving_default` and `png` use 0 if it is left out. It determines a noise vector.
- `z`: float32 [N, {noise_dim}], noise ~ N(0, I). `share`: float32 [N] in [0, 1], the share of the other caption.
- `images`: uint8 [N, {size}, {size}, 3]. `png_bytes`: string [N], PNG files.
- `words`: string [N, {text_length}], the caption's tokens, '' for padding; `cut`: bool [N], whether there are more.
{attention}
A caption and a seed give the same image, up to one level of 255, whatever else is in the batch.

```python
import tensorflow as tf
import tensorflow_text  # Registers the operations of the tokenizer.

model = tf.saved_model.load("{number}")  # This folder.
images = model(["{example}"], seed=7)["images"]  # uint8 [1, {size}, {size}, 3]
```
"""
_ATTENTION = """\
- `attention`: float32 [N, 16, 16, {text_length}], the attention of each region to each word.
"""
_SIGNATURES = {
    "serving_default": ("captions, seed", "images"),
    "png": ("captions, seed", "png_bytes"),
    "from_noise": ("captions, z", "images"),
    "attention": ("captions, z", "images, attention, words"),
    "mixed": ("captions, other_captions, share, z", "images"),
    "noise": ("seed", "z"),
    "tokens": ("captions", "words, cut"),
}


class Facts(NamedTuple):
    """The facts on the card that are not in the config."""

    name: str
    number: int  # The version's number.
    step: int  # The checkpoint's step.
    precision: str
    folded: bool
    scores: Sequence[tuple[str, str]]  # Name and value of each metric; empty if nothing was measured.
    protocol: Mapping[str, object]  # How the scores were measured.
    sizes: Mapping[str, int]  # Bytes on disk, by part.
    dataset: str  # Description of the dataset.
    example: str  # A caption like those of the dataset.


def model_card(config: Config, facts: Facts) -> str:
    """Returns the text of the card.

    Args:
      config: of the run.
      facts: of the export.

    Returns:
      Markdown.
    """
    size, length = config.data.image_size, config.data.text_length
    flat = config_lib.flatten(config)
    attends = config.generator.modulation == "attentional"
    how = _HOW.format(
        size=size,
        noise_dim=config.generator.noise_dim,
        text_length=length,
        number=facts.number,
        example=facts.example,
        attention=_ATTENTION.format(text_length=length) if attends else "",
        signatures="\n".join(
            f"| `{name}` | {takes} | {gives} |"
            for name, (takes, gives) in _SIGNATURES.items()
            if attends or name != "attention"
        ),
    )
    lines = [
        f"# {escapes.markdown(facts.name)}, version {facts.number}",
        "",
        f"Draws an image of {size} x {size} pixels from a sentence: XMC-GAN (Zhang et al., CVPR 2021, "
        "[arXiv:2101.04702](https://arxiv.org/abs/2101.04702)), with tokenizer and text encoder included.",
        "",
        how,
        "## What it is",
        "",
        f"- Trained on {facts.dataset}.",
        f"- The averaged generator after {facts.step:,} steps with batches of {config.training.batch_size}.",
        f"- Generator in {facts.precision}"
        f"{', batch statistics folded into the modulation' if facts.folded else ''}; the text encoder is unchanged.",
        "",
        "| field | value |",
        "| --- | --- |",
        *(f"| `{field}` | {escapes.markdown(str(flat[field]))} |" for field in _FIELDS),
        "",
        "The whole config is `config.json`.",
        "",
        "## How good it is",
        "",
        *scores(facts.scores, facts.protocol),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in limits(config)),
        "",
        "## Size",
        "",
        "| part | MB |",
        "| --- | --- |",
        *(f"| {part} | {size / 1e6:.1f} |" for part, size in facts.sizes.items()),
        "",
    ]
    return "\n".join(lines)


def scores(values: Sequence[tuple[str, str]], protocol: Mapping[str, object]) -> list[str]:
    """Returns the lines of a table of scores, see `Facts`, or one that tells how to get them."""
    if not values:
        return ["Not measured. To have results here, run `python -m eval.evaluate --workdir=...` before the export."]
    captions = protocol.get("captions", {})
    where = ""
    if isinstance(captions, Mapping) and isinstance(captions.get("num_samples"), int):
        dataset, split = (escapes.markdown(str(captions.get(name))) for name in ("dataset", "split"))
        where = f"{captions['num_samples']:,} captions of {dataset}, {split} split."
    rows = [f"| {escapes.markdown(name)} | {escapes.markdown(value)} |" for name, value in values]
    return [where, "", "| metric | value |", "| --- | --- |", *rows]


def limits(config: Config) -> list[str]:
    """Returns sentences on what a model cannot do."""
    return [
        "The model draws only what its dataset shows, in that dataset's style, and reads only the language of the "
        "dataset's captions.",
        "Models of this kind often draw faces, hands, writing, numbers of objects and their positions wrong.",
        "The model has the biases of the captions and images it was trained on. Images are invented: none is evidence "
        "of anything.",
        f"Words after the first {config.data.text_length - 2} tokens of a caption are not read.",
    ]
