"""The rows of the paper's tables: the config fields that each changes, and the paper's results."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

METRICS = ("IS", "FID", "R-precision", "SOA-C", "SOA-I")
_BEYOND_THE_PAPER = "beyond the paper"
_ON, _OFF = 1.0, 0.0
# The losses behind the letters of Table 4; its image-image loss has two sources of features.
_LETTERS = {
    "s": ("discriminator_sentence", "generator_sentence"),
    "w": ("discriminator_word", "generator_word"),
    "d": ("generator_image",),
    "vgg": ("generator_image_encoder",),
}
_TITLES = {"s": "S", "w": "W", "d": "I (D)", "vgg": "I (VGG)"}
_HEAD = "discriminator.contrastive_head_layers"
_LOSSES = tuple(loss for losses in _LETTERS.values() for loss in losses)


class Row(NamedTuple):
    """One trained model."""

    name: str  # Within its table
    title: str  # As in the paper's table
    changes: dict[str, Any]  # Fields of the config by dotted name; all rows of a table set the same fields
    published: dict[str, float]  # The paper's numbers by metric; empty if it has none


class Table(NamedTuple):
    """Rows that are compared with each other."""

    name: str
    title: str
    place: str  # Where it is in the paper
    dataset: str  # Dataset that the paper trains on
    rows: list[Row]
    is_ablation: bool = True  # Ablations have fewer channels than the paper's main results

    @property
    def short_place(self) -> str:
        """A short name: 'Table 4', or the table's own name if it is not in the paper."""
        return self.name if self.place == _BEYOND_THE_PAPER else self.place.split(",")[0]


def _published(*values: float) -> dict[str, float]:
    return dict(zip(METRICS, values))


def _only(losses: Container[str]) -> dict[str, Any]:
    """Returns the fields that switch these contrastive losses on, and the others off."""
    return {f"losses.{loss}": _ON if loss in losses else _OFF for loss in _LOSSES}


def _losses_of_network(prefix: str) -> dict[str, Any]:
    """Returns the fields that switch on the contrastive losses whose names start with a prefix, and the others off."""
    return _only([loss for loss in _LOSSES if loss.startswith(prefix)])


def _losses_row(name: str, *values: float) -> Row:
    """Returns a row of Table 4."""
    letters = [letter for letter in name.split("_") if letter in _LETTERS]
    title = " + ".join(_TITLES[letter] for letter in letters) or "no contrastive loss"
    losses = [loss for letter in letters for loss in _LETTERS[letter]]
    return Row(name, title, _only(losses), _published(*values))


_MAIN = [
    Table(
        "table2",
        "COCO-14",
        "Table 2, page 6",
        "coco2014",
        [Row("coco2014", "XMC-GAN", {}, _published(30.45, 9.33, 71.00, 50.94, 71.33))],
        is_ablation=False,
    ),
    Table(
        "table3",
        "LN-COCO",
        "Table 3, page 7",
        "ln_coco",
        [Row("ln_coco", "XMC-GAN", {}, _published(28.37, 14.12, 66.92, 36.76, 48.14))],
        is_ablation=False,
    ),
    Table(
        "open_images",
        "LN-OpenImages",
        "section 6.1, page 8",
        "ln_openimages",
        [Row("ln_openimages", "XMC-GAN", {}, _published(24.90, 26.91, 57.55))],
        is_ablation=False,
    ),
]
_ABLATIONS = [
    Table(
        "table4",
        "Contrastive losses",
        "Table 4, page 7",
        "coco2014",
        [
            _losses_row("none", 15.89, 39.28, 21.41, 8.99, 25.72),
            _losses_row("s", 23.50, 19.25, 53.57, 24.57, 45.41),
            _losses_row("w", 20.72, 24.38, 44.42, 20.50, 39.12),
            _losses_row("i_d", 18.90, 29.71, 31.16, 12.73, 30.89),
            _losses_row("i_vgg", 21.54, 39.58, 35.89, 17.41, 35.08),
            _losses_row("i_d_vgg", 23.61, 21.14, 47.04, 23.87, 44.41),
            _losses_row("s_w", 26.02, 14.25, 64.94, 30.49, 51.60),
            _losses_row("s_w_i_d", 28.06, 12.96, 65.36, 34.21, 54.23),
            _losses_row("s_w_i_vgg", 30.55, 11.12, 70.98, 39.36, 59.10),
            _losses_row("s_w_i_d_vgg", 30.66, 11.93, 69.86, 39.85, 59.78),
        ],
    ),
    Table(
        "table5",
        "Modulation",
        "Table 5, page 8",
        "coco2014",
        [
            Row(
                "self_modulation",
                "Self-modulation",
                {"generator.modulation": "self"},
                _published(28.98, 13.59, 64.65, 35.18, 55.54),
            ),
            Row(
                "attentional",
                "Attentional self-modulation",
                {"generator.modulation": "attentional"},
                _published(30.66, 11.93, 69.86, 39.85, 59.78),
            ),
        ],
    ),
    Table(
        "table6",
        "VGG losses",
        "Table 6, page 8",
        "coco2014",
        [
            Row(
                "vgg_l2",
                "l2 loss",
                {**_only([]), "losses.generator_perceptual": _ON},
                _published(12.46, 52.86, 22.62, 8.27, 25.48),
            ),
            Row(
                "vgg_contrastive",
                "Contrastive loss",
                {**_only(_LETTERS["vgg"]), "losses.generator_perceptual": _OFF},
                _published(21.54, 39.58, 35.89, 17.41, 35.08),
            ),
        ],
    ),
    Table(
        "table7",
        "Networks that the contrastive losses train",
        "Table 7, page 12",
        "coco2014",  # The paper does not state the number of channels; we use that of its ablations.
        [
            Row("g", "G", _losses_of_network("generator_"), _published(23.69, 34.70, 40.44, 21.61, 38.13)),
            Row("d", "D", _losses_of_network("discriminator_"), _published(25.81, 26.63, 56.62, 28.58, 49.36)),
            Row("g_d", "G + D", _losses_of_network(""), _published(31.33, 11.34, 73.11, 42.29, 61.39)),
        ],
    ),
    Table(
        "fig5",
        "Contrastive heads",
        "Fig. 5, page 8",
        "coco2014",
        [
            Row("head_0", "no additional layer", {_HEAD: 0}, {"FID": 12.61, "contrastive accuracy": 76.56}),
            Row("head_1", "1-layer MLP", {_HEAD: 1}, {}),  # The paper shows only its curve.
            Row("head_2", "2-layer MLP", {_HEAD: 2}, {"FID": 19.42, "contrastive accuracy": 88.55}),
        ],
    ),
]


def _choices(field: str, titles: dict[Any, str]) -> list[Row]:
    """Returns a row for each value of a field."""
    return [Row(str(value), title, {field: value}, {}) for value, title in titles.items()]


def _generator_row(name: str, title: str) -> Row:
    """Returns a row in which G has some of the contrastive losses, and D has S + W."""
    letters = [letter for letter in name.split("_") if letter in _LETTERS]
    losses = [loss for letter in letters for loss in _LETTERS[letter] if loss.startswith("generator_")]
    return Row(name, title, _only(["discriminator_sentence", "discriminator_word", *losses]), {})


_BEYOND = {
    "negatives": (
        "Negatives, where several devices share a batch",
        _choices("losses.negatives", {"global": "those of all devices", "replica": "each device's own"}),
    ),
    "update_rule": (
        "Update rule",
        _choices(
            "training.update_rule",
            {"algorithm1": "Algorithm 1", "joint": "the last D step shares G's batch and forward pass"},
        ),
    ),
    "stem": (
        "What the generator's first layer sees",
        _choices("generator.stem", {"condition": "sentence and noise", "noise": "noise alone"}),
    ),
    "batch_size": (
        "Images of a batch, and so negatives",
        _choices("training.batch_size", {size: str(size) for size in (256, 128, 64)}),
    ),
    "generator_losses": (
        "Contrastive losses of G, where D has S + W",
        [
            _generator_row("none", "none"),  # The same as Table 7's row D.
            _generator_row("s", "S"),
            _generator_row("w", "W"),
            _generator_row("i_d", "I (D)"),
            _generator_row("s_w", "S + W"),  # The same as Table 4's row S + W.
        ],
    ),
}
_OPEN_QUESTIONS = [Table(name, title, _BEYOND_THE_PAPER, "coco2014", rows) for name, (title, rows) in _BEYOND.items()]
TABLES = {table.name: table for table in (*_MAIN, *_ABLATIONS, *_OPEN_QUESTIONS)}
