"""Converts the Open Images part of Localized Narratives.

Source: `open_images_{train_v6,validation,test}_localized_narratives*.jsonl` (in shards or one file) or the smaller
`open_images_*_captions.jsonl`, and beside them the images of Open Images. These may be in the archives `train_0.tar.gz`
to `train_f.tar.gz`, `validation.tar.gz` and `test.tar.gz`, packed or unpacked, or in folders `train/`, `validation/`
and `test/`. The test split is optional.
"""

from __future__ import annotations

import collections

from etils import epath

from data_pipelines.builders import image_builder, narratives

# Prefix of the names of each split's narrative files.
_SPLITS = {"train": "open_images_train_v6", "validation": "open_images_validation", "test": "open_images_test"}
_ARCHIVE_ENDINGS = (".tar.gz", ".tar")


class LnOpenImages(image_builder.ImageBuilder):
    """LN-OpenImages (Pont-Tuset et al. 2020 on images of Open Images), the paper's third dataset (section 5.1)."""

    def splits(self) -> list[str]:
        """See `ImageBuilder`."""
        found = [split for split in _SPLITS if self._narratives(split)]
        missing = [
            f"{_SPLITS[split]}_localized_narratives*.jsonl (or {_SPLITS[split]}_captions.jsonl)"
            for split in ("train", "validation")
            if split not in found
        ]
        missing += [
            f"the images of {split} ({split}/ or {split}*.tar.gz)"
            for split in found
            if not self._image_locations(split)
        ]
        if missing:
            raise FileNotFoundError(
                f"source folder {self._source} lacks {', '.join(missing)}: put Localized Narratives' Open Images files "
                "and Open Images' images there, or pass --download"
            )
        return found

    def plan(self, split: str) -> image_builder.Plan:
        """See `ImageBuilder`."""
        lines_by_image, issues, num_captions = narratives.by_image(self._narratives(split))
        locations = self._image_locations(split)
        files, archived = [], collections.defaultdict(list)
        for image_id, lines in lines_by_image.items():
            item = image_builder.Item(image_id, file_name=f"{image_id}.jpg", path="", lines=tuple(lines))
            candidates = [path for name in _archive_names(split, image_id) for path in locations.get(name, ())]
            folders = [path for path in candidates if path.is_dir()]
            archives = [path for path in candidates if not path.is_dir()]
            found = next((folder for folder in folders if (folder / item.file_name).exists()), None)
            if archives and not found:
                archived[str(archives[0])].append(item)
            else:
                files.append(item._replace(path=str((found or self._source / split) / item.file_name)))
        units = image_builder.split_into_units(files) + [
            image_builder.Unit(items, archive) for archive, items in sorted(archived.items())
        ]
        return image_builder.Plan(units, issues, num_captions)

    def _narratives(self, split: str) -> list[epath.Path]:
        return narratives.find_files(
            self._source, f"{_SPLITS[split]}_localized_narratives", f"{_SPLITS[split]}_captions"
        )

    def _image_locations(self, split: str) -> dict[str, list[epath.Path]]:
        """Returns the folders and archives with images of a split, by name without ending."""
        found = collections.defaultdict(list)
        for digit in ("", *"0123456789abcdef"):
            name = f"{split}_{digit}" if digit else split
            for ending in ("", *_ARCHIVE_ENDINGS):
                path = self._source / f"{name}{ending}"
                if path.exists():
                    found[name].append(path)
        return found


def _archive_names(split: str, image_id: str) -> tuple[str, str]:
    """Returns the names of the archives that may hold an image: one per first digit of the id, and one per split."""
    return f"{split}_{image_id[0]}", split
