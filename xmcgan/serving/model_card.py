"""What must be known of an exported model, as Markdown beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xmcgan import config as config_lib
from xmcgan.config import Config

# Fields that say most about a model, in this order.
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
## How to ask it

| signature | takes | gives |
| --- | --- | --- |
{signatures}

- `captions`, `other_captions`: string [N], N being any number. Cut after {text_length} tokens, with [CLS] and [SEP], as
  in training.
- `seed`: int64 [N], or one for all; 0 where `serving_default` or `png` are asked without. It names a noise vector.
- `z`: float32 [N, {noise_dim}], noise ~ N(0, I). `share`: float32 [N] in [0, 1], the part of the other caption.
- `images`: uint8 [N, {size}, {size}, 3]. `png_bytes`: string [N], PNG files.
- `words`: string [N, {text_length}], the caption's tokens, '' for padding; `cut`: bool [N], whether there are more.
{attention}
A caption and a seed give the same image, to one level of 255, whatever else is in the batch.

```python
import tensorflow as tf
import tensorflow_text  # Registers the operations of the tokenizer.

model = tf.saved_model.load("{number}")  # This folder.
images = model(["{example}"], seed=7)["images"]  # uint8 [1, {size}, {size}, 3]
```
"""
_ATTENTION = """\
- `attention`: float32 [N, 16, 16, {text_length}], how much each region looked at each word.
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
    """What the card tells beside the config."""

    name: str
    number: int  # Of the version.
    step: int  # Of the checkpoint.
    precision: str
    folded: bool
    scores: Sequence[tuple[str, str]]  # Name and value of each metric; none where it was not measured.
    protocol: Mapping[str, object]  # How they were measured.
    sizes: Mapping[str, int]  # Bytes on disk, by part.
    dataset: str  # What it shows.
    example: str  # A caption in its manner.


def model_card(config: Config, facts: Facts) -> str:
    """Writes the card.

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
        f"# {facts.name}, version {facts.number}",
        "",
        f"A sentence goes in, an image of {size} x {size} pixels comes out: XMC-GAN (Zhang et al., CVPR 2021, "
        "[arXiv:2101.04702](https://arxiv.org/abs/2101.04702)), from the caption as text to the image as bytes.",
        "",
        how,
        "## What it is",
        "",
        f"- Trained on {facts.dataset}.",
        f"- The averaged generator after {facts.step:,} steps with batches of {config.training.batch_size}.",
        f"- Generator in {facts.precision}"
        f"{', batch statistics folded into the modulation' if facts.folded else ''}; the text encoder as it came.",
        "",
        "| field | value |",
        "| --- | --- |",
        *(f"| `{field}` | {flat[field]} |" for field in _FIELDS),
        "",
        "The whole config is `config.json`.",
        "",
        "## How good it is",
        "",
        *_scores(facts),
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(config)),
        "",
        "## Size",
        "",
        "| part | MB |",
        "| --- | --- |",
        *(f"| {part} | {size / 1e6:.1f} |" for part, size in facts.sizes.items()),
        "",
    ]
    return "\n".join(lines)


def _scores(facts: Facts) -> list[str]:
    if not facts.scores:
        return ["Not measured: `python -m eval.evaluate --workdir=...` before the export puts its results here."]
    captions = facts.protocol.get("captions", {})
    where = ""
    if isinstance(captions, Mapping) and "num_samples" in captions:
        where = f"{captions['num_samples']:,} captions of {captions['dataset']}, {captions['split']} split."
    rows = [f"| {name} | {value} |" for name, value in facts.scores]
    return [where, "", "| metric | value |", "| --- | --- |", *rows]


def _limits(config: Config) -> list[str]:
    return [
        "It draws what its dataset shows, in that dataset's style, and only in the language of its captions.",
        "Faces, hands, writing, numbers of things and their places are often wrong in images of models of this kind.",
        "The prejudices of the captions and images it learned from are its own. Images are invented: none is "
        "evidence of anything.",
        f"Words after the first {config.data.text_length - 2} tokens of a caption are not read.",
    ]
