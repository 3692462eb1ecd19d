"""Converts COCO 2014, and the `scenes` dataset, which has the same layout.

Source: `train2014/`, `val2014/` and `annotations/{captions,instances}_{train,val}2014.json`.
"""

from __future__ import annotations

from data_pipelines.builders import coco_annotations, image_builder
from data_pipelines.builders.skipped import LEFT_OUT, Issue

# COCO's name for each split.
_SPLITS = {"train": "train2014", "validation": "val2014"}


class Coco2014(image_builder.ImageBuilder):
    """COCO 2014 captions (Lin et al. 2014; Chen et al. 2015), the paper's first dataset (section 5.1)."""

    def splits(self) -> list[str]:
        """See `ImageBuilder`."""
        required = list(_SPLITS.values())
        required += [_annotations(kind, split) for split in _SPLITS for kind in ("captions", "instances")]
        missing = [name for name in required if not (self._source / name).exists()]
        if missing:
            raise FileNotFoundError(
                f"source folder {self._source} lacks {', '.join(missing)}: unpack COCO's train2014.zip, val2014.zip "
                "and annotations_trainval2014.zip there, or pass --download"
            )
        return list(_SPLITS)

    def plan(self, split: str) -> image_builder.Plan:
        """See `ImageBuilder`."""
        images, issues = coco_annotations.read_captions(self._source / _annotations("captions", split))
        labels = coco_annotations.read_labels(self._source / _annotations("instances", split))
        items: dict[str, image_builder.Item] = {}
        for image in images:
            key = coco_annotations.id_value(image.image_id)
            if key in items:
                issues.append(Issue(LEFT_OUT, "image", image.file_name, "duplicate id", image.image_id))
                continue
            items[key] = image_builder.Item(
                image_id=image.image_id,
                file_name=image.file_name,
                path=str(self._source / _SPLITS[split] / image.file_name),
                labels=labels.get(key, ()),
                captions=tuple(image.captions),
            )
        coco_annotations.warn_of_foreign_labels(self._source / _annotations("instances", split), labels, items)
        num_captions = sum(len(item.captions) for item in items.values())
        num_captions += sum(issue.what == "caption" for issue in issues)
        return image_builder.Plan(image_builder.split_into_units(list(items.values())), issues, num_captions)


class Scenes(Coco2014):
    """The dataset drawn by this package, in COCO 2014's layout."""


def _annotations(kind: str, split: str) -> str:
    return f"annotations/{kind}_{_SPLITS[split]}.json"
