"""Converts the COCO part of Localized Narratives.

Source: the images of COCO 2017 in `train2017/` and `val2017/`, and beside these folders the narratives,
`coco_{train,val}_localized_narratives*.jsonl` (in shards or one file) or the smaller `coco_{train,val}_captions.jsonl`.
Optional: `annotations/instances_{train,val}2017.json`, which adds the object classes to the records. SOA needs them.
"""

from __future__ import annotations

from etils import epath

from data_pipelines.builders import coco_annotations, image_builder, narratives

# Names of each split in COCO and in Localized Narratives.
_SPLITS = {"train": ("train2017", "coco_train"), "validation": ("val2017", "coco_val")}


class LnCoco(image_builder.ImageBuilder):
    """LN-COCO (Pont-Tuset et al. 2020 on the images of COCO 2017), the paper's second dataset (section 5.1)."""

    def splits(self) -> list[str]:
        """See `ImageBuilder`."""
        missing = []
        for split, (folder, name) in _SPLITS.items():
            if not (self._source / folder).exists():
                missing.append(f"{folder}/")
            if not self._narratives(split):
                missing.append(f"{name}_localized_narratives*.jsonl (or {name}_captions.jsonl)")
        if missing:
            raise FileNotFoundError(
                f"source folder {self._source} lacks {', '.join(missing)}: unpack COCO's train2017.zip and val2017.zip "
                "there and put Localized Narratives' COCO files beside them, or pass --download"
            )
        return list(_SPLITS)

    def plan(self, split: str) -> image_builder.Plan:
        """See `ImageBuilder`."""
        folder = _SPLITS[split][0]
        instances = self._source / "annotations" / f"instances_{folder}.json"
        labels = coco_annotations.read_labels(instances) if instances.exists() else {}
        lines_by_image, issues, num_captions = narratives.by_image(self._narratives(split))
        lines_of_value: dict[str, list[narratives.Line]] = {}
        for image_id, lines in lines_by_image.items():
            lines_of_value.setdefault(coco_annotations.id_value(image_id), []).extend(lines)
        coco_annotations.warn_of_foreign_labels(instances, labels, lines_of_value)
        items = []
        for image_id, lines in lines_of_value.items():
            # COCO's file names are the ids, padded to twelve digits. An id of any other form has no image.
            file_name = f"{image_id:0>12}.jpg"
            items.append(
                image_builder.Item(
                    image_id=image_id,
                    file_name=file_name,
                    path=str(self._source / folder / file_name),
                    labels=labels.get(image_id, ()),
                    lines=tuple(lines),
                )
            )
        return image_builder.Plan(image_builder.split_into_units(items), issues, num_captions)

    def _narratives(self, split: str) -> list[epath.Path]:
        name = _SPLITS[split][1]
        return narratives.find_files(self._source, f"{name}_localized_narratives", f"{name}_captions")
