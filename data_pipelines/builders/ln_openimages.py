"""The Open Images part of Localized Narratives as published -> records.

Source: `open_images_{train_v6,validation,test}_localized_narratives*.jsonl` (in shards or whole) or the lighter
`open_images_*_captions.jsonl`, and beside them Open Images' images as they come: the archives `train_0.tar.gz` to
`train_f.tar.gz`, `validation.tar.gz` and `test.tar.gz`, packed or unpacked, or folders `train/`, `validation/` and
`test/`. The test split is optional.
"""

from __future__ import annotations

import collections

from etils import epath

from data_pipelines.builders import image_builder, narratives

# How the files of each split's narratives begin.
_SPLITS = {"train": "open_images_train_v6", "validation": "open_images_validation", "test": "open_images_test"}
_ARCHIVE_ENDINGS = (".tar.gz", ".tar")


class LnOpenImages(image_builder.ImageBuilder):
    """LN-OpenImages (Pont-Tuset et al. 2020 on images of Open Images), the paper's third dataset (section 5.1)."""

    name = "ln_openimages"

    def splits(self) -> list[str]:
        """See `ImageBuilder`."""
        found = [split for split in _SPLITS if self._narratives(split)]
        missing = [
            f"{_SPLITS[split]}_localized_narratives*.jsonl (or {_SPLITS[split]}_captions.jsonl)"
            for split in ("train", "validation")
            if split not in found
        ]
        missing += [
            f"the images of {split} ({split}/ or {split}*.tar.gz)" for split in found if not self._places(split)
        ]
        if missing:
            raise FileNotFoundError(
                f"source folder {self._source} lacks {', '.join(missing)}: put Localized Narratives' Open Images files "
                "and Open Images' images there, or let --download fetch them"
            )
        return found

    def plan(self, split: str) -> image_builder.Plan:
        """See `ImageBuilder`."""
        told, notes, num_captions = narratives.by_image(self._narratives(split))
        places = self._places(split)
        files, archived = [], collections.defaultdict(list)
        for image_id, lines in told.items():
            item = image_builder.Item(image_id, file_name=f"{image_id}.jpg", path="", lines=tuple(lines))
            candidates = [place for name in _place_names(split, image_id) for place in places.get(name, ())]
            folders = [place for place in candidates if place.is_dir()]
            archives = [place for place in candidates if not place.is_dir()]
            found = next((folder for folder in folders if (folder / item.file_name).exists()), None)
            if archives and not found:
                archived[str(archives[0])].append(item)
            else:
                files.append(item._replace(path=str((found or self._source / split) / item.file_name)))
        units = image_builder.units_of(files) + [
            image_builder.Unit(items, archive) for archive, items in sorted(archived.items())
        ]
        return image_builder.Plan(units, notes, num_captions)

    def _narratives(self, split: str) -> list[epath.Path]:
        return narratives.find_files(
            self._source, f"{_SPLITS[split]}_localized_narratives", f"{_SPLITS[split]}_captions"
        )

    def _places(self, split: str) -> dict[str, list[epath.Path]]:
        """Folders and archives with images of a split, by name without ending."""
        found = collections.defaultdict(list)
        for digit in ("", *"0123456789abcdef"):
            name = f"{split}_{digit}" if digit else split
            for ending in ("", *_ARCHIVE_ENDINGS):
                place = self._source / f"{name}{ending}"
                if place.exists():
                    found[name].append(place)
        return found


def _place_names(split: str, image_id: str) -> tuple[str, str]:
    """The archives of the training images each hold the ids that begin with one hexadecimal digit."""
    return f"{split}_{image_id[0]}", split
