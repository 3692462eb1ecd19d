"""Converts a user's own images with captions, in any of the layouts of `data_pipelines.layouts`."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from typing import Any

import tqdm
from etils import epath

from data_pipelines import advice, own_datasets
from data_pipelines.builders import image_builder
from data_pipelines.builders.image_builder import Item, Plan, Unit
from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts import recognize
from data_pipelines.layouts.listing import Options
from data_pipelines.layouts.splits import TEST, TRAIN, VALIDATION, Division, PlacedImage, divide
from data_pipelines.layouts.tree import Tree
from data_pipelines.own_datasets import Facts
from xmcgan import escapes


class CaptionedImages(image_builder.ImageBuilder):
    """A user's own images with captions."""

    def __init__(
        self,
        *,
        layout: str = "",
        caption_column: str = "",
        validation_share: float = 0.1,
        text_preprocessor: str = "",
        **kwargs: Any,
    ):
        """Makes the builder.

        Args:
          layout: a key of `layouts.names.LAYOUTS`; if empty, it is recognized by looking.
          caption_column: column of a table, or key of JSON, that holds the captions; if empty, one with a usual name.
          validation_share: share of the images for validation, if the source does not say which; 0 .. 1, exclusive.
          text_preprocessor: text preprocessor that counts the captions' tokens, see `advice.lengths_by`.
          **kwargs: see `ImageBuilder`.
        """
        self._layout = layout
        self._options = Options(caption_column)
        self._validation_share = validation_share
        self._text_preprocessor = text_preprocessor
        self._found_layout = ""
        super().__init__(**kwargs)

    def splits(self) -> list[str]:
        """See `ImageBuilder`."""
        present = self._division.images
        return [split for split in (TRAIN, VALIDATION, TEST) if split in present]

    def plan(self, split: str) -> Plan:
        """See `ImageBuilder`."""
        issues = list(self._division.issues.get(split, ()))
        files: list[PlacedImage] = []
        archived: list[PlacedImage] = []
        num_captions = sum(issue.what == "caption" for issue in issues)
        for placed in self._division.images[split]:
            num_captions += len(placed.image.captions)
            if placed.image.path:
                (archived if placed.image.archive else files).append(placed)
            else:
                issues.append(Issue(LEFT_OUT, "image", placed.name, "missing image"))
        units = image_builder.split_into_units([self._item(placed, self._path(placed.image.path)) for placed in files])
        for archive, group in itertools.groupby(archived, lambda placed: placed.image.archive):
            units.append(Unit([self._item(placed, placed.image.path) for placed in group], self._path(archive)))
        return Plan(units, issues, num_captions)

    @functools.cached_property
    def _division(self) -> Division:
        """The images of each split; the source is read on first use."""
        tree = Tree(self._source)
        layout = recognize.find_layout(tree, self._options, self._layout)
        listing = layout.read(tree, self._options)
        division = divide(tree, listing.images, self._validation_share)
        division.issues[TRAIN] += listing.issues
        self._found_layout = layout.name
        counts = ", ".join(f"{len(images):,} {split}" for split, images in division.images.items())
        seen = layout.see(tree, self._options)
        tqdm.tqdm.write(f"layout '{layout.name}' ({seen}); {division.how}: {counts}", file=sys.stderr)
        return division

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Adds the facts to the finished records; TFDS renames their folder afterwards."""
        lengths_by = advice.lengths_by(self._text_preprocessor)  # Fails before the work begins, if at all.
        super()._download_and_prepare(dl_manager, download_config)
        folder, infos = epath.Path(self.data_dir), self.info.splits
        files = [folder / epath.Path(path).name for path in infos[TRAIN].filepaths]
        advised = advice.advise(files, infos[TRAIN].num_examples, infos[VALIDATION].num_examples, lengths_by)
        example = advice.first_caption(files)
        source = os.fspath(self._source)
        source = escapes.terminal(source if "://" in source else os.path.abspath(source))
        facts = Facts(source, self._found_layout, example, advised)
        own_datasets.write_facts(folder, facts)

    def _item(self, placed: PlacedImage, path: str) -> Item:
        return Item(placed.name, placed.name, path, captions=placed.image.captions)

    def _path(self, path: str) -> str:
        return os.fspath(self._source / path)
