"""The files that the datasets' owners publish, with their addresses, sizes and checksums.

We know of no checksums published by the owners. COCO's checksums and sizes are those that TensorFlow Datasets recorded
when it downloaded the same files. For Localized Narratives we know of no recorded sizes or checksums, so both are taken
from the server's response.
"""

from __future__ import annotations

from typing import NamedTuple

COCO_PAGE = "https://cocodataset.org/#download"
NARRATIVES_PAGE = "https://google.github.io/localized-narratives"
OPEN_IMAGES_PAGE = "https://github.com/cvdfoundation/open-images-dataset"

# COCO publishes http addresses only; the checksums protect against altered files.
_COCO_URL = "http://images.cocodataset.org"
_NARRATIVES_URL = "https://storage.googleapis.com/localized-narratives/annotations"
_OPEN_IMAGES_URL = "https://open-images-dataset.s3.amazonaws.com"


class PublishedFile(NamedTuple):
    """One file as published.

    Attributes:
      name: name in the source folder.
      url: address of the file.
      page: web page on which its owner publishes it.
      size: size in bytes; if None, the server is asked for it.
      sha256: checksum in hexadecimal; if None, the checksum that the server states is used.
      unpacks_to: for an archive, the folders or files in it that the builders need; if empty, it is not unpacked.
      num_images: for an archive of images, how many it holds.
      unpacked_ratio: for an archive, an estimate of its unpacked size divided by its packed size. JPEG files do not
        compress further; COCO's JSON files compress to less than a third.
      whole_name: for a shard, the name of the file that joins all shards, which some users keep instead of the shards.
    """

    name: str
    url: str
    page: str
    size: int | None = None
    sha256: str | None = None
    unpacks_to: tuple[str, ...] = ()
    num_images: int = 0
    unpacked_ratio: int = 1
    whole_name: str | None = None


class ImageFolder(NamedTuple):
    """The images of a split, published one by one.

    Attributes:
      split: name of the split, as it appears in the names of the images' folder and archives.
      url: address of their folder, in which each image is called `<image id>.jpg`.
      page: web page on which their owner publishes them.
      num_narratives: number of narratives of these images, hence an upper bound on the number of images needed.
      image_size: mean size of an image, in bytes.
      by_first_digit: whether there is one archive for each first digit of the image ids, instead of a single archive.
    """

    split: str
    url: str
    page: str
    num_narratives: int
    image_size: int
    by_first_digit: bool


class Published(NamedTuple):
    """The published files that a dataset's conversion reads.

    Attributes:
      files: archives and annotation files.
      light_files: for Localized Narratives, the same files, except that the narratives are smaller because they lack
        timed words and mouse traces. Empty for other datasets.
      image_folders: images that are published one by one.
    """

    files: tuple[PublishedFile, ...]
    light_files: tuple[PublishedFile, ...] = ()
    image_folders: tuple[ImageFolder, ...] = ()


def _coco(
    name: str, folder: str, size: int, sha256: str, unpacks_to: tuple[str, ...], num_images: int = 0
) -> PublishedFile:
    return PublishedFile(
        name,
        f"{_COCO_URL}/{folder}/{name}",
        COCO_PAGE,
        size,
        sha256,
        unpacks_to,
        num_images,
        unpacked_ratio=1 if num_images else 4,
    )


def _narratives(name: str, whole_name: str | None = None) -> PublishedFile:
    return PublishedFile(name, f"{_NARRATIVES_URL}/{name}", NARRATIVES_PAGE, whole_name=whole_name)


def _narrative_shards(stem: str, count: int) -> tuple[PublishedFile, ...]:
    return tuple(_narratives(f"{stem}-{shard:05d}-of-{count:05d}.jsonl", f"{stem}.jsonl") for shard in range(count))


COCO2014 = (
    _coco(
        "annotations_trainval2014.zip",
        "annotations",
        252872794,
        "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
        tuple(
            f"annotations/{kind}_{split}2014.json" for split in ("train", "val") for kind in ("captions", "instances")
        ),
    ),
    _coco(
        "val2014.zip",
        "zips",
        6645013297,
        "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
        ("val2014",),
        40504,
    ),
    _coco(
        "train2014.zip",
        "zips",
        13510573713,
        "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
        ("train2014",),
        82783,
    ),
)
COCO2017 = (
    _coco(
        "annotations_trainval2017.zip",
        "annotations",
        252907541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        tuple(f"annotations/instances_{split}2017.json" for split in ("train", "val")),
    ),
    _coco(
        "val2017.zip",
        "zips",
        815585330,
        "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ("val2017",),
        5000,
    ),
    _coco(
        "train2017.zip",
        "zips",
        19336861798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ("train2017",),
        118287,
    ),
)
LN_COCO_NARRATIVES = (
    *_narrative_shards("coco_train_localized_narratives", 4),
    _narratives("coco_val_localized_narratives.jsonl"),
)
LN_COCO_CAPTIONS = (_narratives("coco_train_captions.jsonl"), _narratives("coco_val_captions.jsonl"))
LN_OPENIMAGES_NARRATIVES = (
    *_narrative_shards("open_images_train_v6_localized_narratives", 10),
    _narratives("open_images_validation_localized_narratives.jsonl"),
)
LN_OPENIMAGES_CAPTIONS = (
    _narratives("open_images_train_v6_captions.jsonl"),
    _narratives("open_images_validation_captions.jsonl"),
)
# The archives train_0.tar.gz ... train_f.tar.gz hold 1,743,042 images in 549 GB. Less than a third of the images have a
# narrative, so images are downloaded one by one.
OPEN_IMAGES_FOLDERS = (
    ImageFolder("train", f"{_OPEN_IMAGES_URL}/train", OPEN_IMAGES_PAGE, 507444, 315_000, by_first_digit=True),
    ImageFolder("validation", f"{_OPEN_IMAGES_URL}/validation", OPEN_IMAGES_PAGE, 41691, 309_000, False),
)
