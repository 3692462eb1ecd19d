"""Compares the records of a dataset with the paper's Table 1 (section 5.1).

Where the table does not say what it counts, we interpret it as follows:

- The samples of COCO-14 are images: 82,783 and 40,504 are published. The samples of Localized Narratives are
  narratives: 134,272 and 8,573 are published for the 118,287 and 5,000 images of COCO-17, and 507,444 and 41,691 for
  504,413 and 41,620 images of Open Images. The table truncates to thousands instead of rounding. We compare with the
  exact numbers.
- The captions per image of COCO-14 are all captions of an image. Those of Localized Narratives are the captions of a
  narrative, always one. Our records hold all narratives of an image, so they may have more captions per image than the
  table.
- The caption length is the number of words separated by white space; punctuation marks do not count as words. The 400
  captions of 80 COCO photographs have 10.6 such words on average (standard error 0.14). If punctuation marks counted as
  words, these captions would have 11.5. They have 12.0 of BERT's word pieces, or 14.0 with [CLS] and [SEP]. The table
  gives one length for both splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data_pipelines.inspection.split_statistics import SplitStatistics

# Relative tolerances. The one for counts is the share that a conversion may leave out by default. The one for the
# caption length, which the table gives for both splits together, is less than half of what counting punctuation marks
# would add.
_COUNT_TOLERANCE, _LENGTH_TOLERANCE = 0.01, 0.03


class _Samples(NamedTuple):
    """The number of samples of a split."""

    printed: str  # As printed in Table 1.
    published: int  # As published by the owners of the data.


class _Column(NamedTuple):
    """The numbers of Table 1 for one dataset."""

    unit: str  # What counts as a sample: 'images' or 'narratives'.
    samples: dict[str, _Samples]  # By split.
    captions: int  # Captions per image.
    length: float  # Average caption length.


_TABLE = {
    "coco2014": _Column("images", {"train": _Samples("82k", 82_783), "validation": _Samples("40k", 40_504)}, 5, 10.5),
    "ln_coco": _Column(
        "narratives", {"train": _Samples("134k", 134_272), "validation": _Samples("8k", 8_573)}, 1, 42.1
    ),
    "ln_openimages": _Column(
        "narratives", {"train": _Samples("507k", 507_444), "validation": _Samples("41k", 41_691)}, 1, 35.6
    ),
}


class Comparison(NamedTuple):
    """A statistic of the records, compared with its value in the table."""

    split: str
    what: str  # Name of the statistic.
    ours: str
    paper: str
    agrees: bool
    why: str  # The reason for the verdict, in a few words.

    @property
    def verdict(self) -> str:
        """'agrees: why' or 'differs: why'."""
        return f"{'agrees' if self.agrees else 'differs'}: {self.why}"


def compare(dataset: str, splits: Mapping[str, SplitStatistics]) -> list[Comparison]:
    """Compares the records with Table 1.

    Args:
      dataset: name of a dataset.
      splits: statistics of its splits, by name.

    Returns:
      A comparison for each of the table's numbers; none for datasets and splits that are not in the table.
    """
    column = _TABLE.get(dataset)
    if column is None:
        return []
    return [
        comparison
        for split, statistics in splits.items()
        if split in column.samples
        for comparison in _compare_split(column, split, statistics)
    ]


def describe_gaps(dataset: str, splits: Mapping[str, SplitStatistics]) -> str:
    """Returns a sentence that names what Table 1 does not cover; empty if it covers all splits."""
    if dataset not in _TABLE:
        return f"The paper has no numbers for {dataset}."
    others = [f"'{split}'" for split in splits if split not in _TABLE[dataset].samples]
    return f"The paper's Table 1 has no split {' or '.join(others)} of {dataset}." if others else ""


def _compare_split(column: _Column, split: str, statistics: SplitStatistics) -> list[Comparison]:
    return [
        _compare_samples(column, split, statistics),
        _compare_captions(column, split, statistics),
        _compare_length(column, split, statistics),
    ]


def _compare_samples(column: _Column, split: str, statistics: SplitStatistics) -> Comparison:
    printed, published = column.samples[split]
    number = statistics.num_images if column.unit == "images" else statistics.num_captions
    agrees = _is_near(number, published, _COUNT_TOLERANCE)
    if number == published:
        why = f"all {column.unit} published"
    elif number < published:
        why = f"{number:,} of {published:,} {column.unit} published"
    else:
        why = f"more than the {published:,} {column.unit} published"
    if column.unit == "narratives" and number != statistics.num_images:
        why += f", on {statistics.num_images:,} images"
    return Comparison(split, f"samples ({column.unit})", f"{number:,}", printed, agrees, why)


def _compare_captions(column: _Column, split: str, statistics: SplitStatistics) -> Comparison:
    number = statistics.captions.mean()
    agrees = _is_near(number, column.captions, _COUNT_TOLERANCE)
    if column.unit == "narratives" and number > column.captions:
        several = sum(count for captions, count in statistics.captions.items() if captions > 1)
        why = f"{several:,} of {statistics.num_images:,} images have several narratives, each a sample of Table 1"
    elif min(statistics.captions) == max(statistics.captions):
        why = f"every image has {max(statistics.captions)}"
    else:
        why = f"from {min(statistics.captions)} to {max(statistics.captions)}"
    return Comparison(split, "captions per image", f"{number:.2f}", str(column.captions), agrees, why)


def _compare_length(column: _Column, split: str, statistics: SplitStatistics) -> Comparison:
    number = statistics.words.mean()
    agrees = _is_near(number, column.length, _LENGTH_TOLERANCE)
    ratio = number / column.length - 1
    why = f"within {_LENGTH_TOLERANCE:.0%}" if agrees else f"{abs(ratio):.0%} {'longer' if ratio > 0 else 'shorter'}"
    return Comparison(split, "average caption length (words)", f"{number:.1f}", f"{column.length}", agrees, why)


def _is_near(number: float, target: float, tolerance: float) -> bool:
    return abs(number - target) <= tolerance * target
