"""A small drawn set of images with captions, and writers of it in every layout that a user's own images may have."""

from __future__ import annotations

import csv
import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import PIL.Image


class Drawn(NamedTuple):
    """An image of the set."""

    content: bytes
    captions: list[str]


Images = Mapping[str, Drawn]


def draw(names: list[str], size: int = 40, seed: int = 0) -> dict[str, Drawn]:
    """Draws an image of noise for each name, as JPEG or PNG by its ending, with two captions."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for number, name in enumerate(names):
        file = io.BytesIO()
        pixels = rng.integers(0, 256, (size, size + 8, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(file, "PNG" if name.lower().endswith(".png") else "JPEG")
        drawn[name] = Drawn(file.getvalue(), [f"a, bird no. {number}", f"thing {number} on a branch, très «haut»"])
    return drawn


def _write(path: pathlib.Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def _write_images(folder: pathlib.Path, images: Images) -> None:
    for name, image in images.items():
        _write(folder / name, image.content)


def metadata_csv(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder, images)
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text"])
        rows.writerows([name, caption] for name, image in images.items() for caption in image.captions)


def metadata_jsonl(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder, images)
    rows = [json.dumps({"file_name": name, "text": image.captions}) for name, image in images.items()]
    _write(folder / "metadata.jsonl", "\n".join(rows))


def metadata_parquet(folder: pathlib.Path, images: Images) -> None:
    import pyarrow
    from pyarrow import parquet

    _write_images(folder, images)
    table = pyarrow.table({"file_name": list(images), "text": [image.captions for image in images.values()]})
    parquet.write_table(table, folder / "metadata.parquet")


def kaggle_csv(folder: pathlib.Path, images: Images) -> None:
    """As Kaggle has Flickr8k, but with Windows' line ends and byte order mark."""
    _write_images(folder / "Images", images)
    lines = [f'{name},"{caption}"' for name, image in images.items() for caption in image.captions]
    _write(folder / "captions.txt", "\ufeff" + "\r\n".join(["image,caption", *lines]) + "\r\n")


def flickr8k_tokens(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder / "Flicker8k_Dataset", images)
    lines = [f"{name}#{i}\t{caption}" for name, image in images.items() for i, caption in enumerate(image.captions)]
    _write(folder / "Flickr8k.token.txt", "\n".join(lines) + "\n")
    _write(folder / "Flickr8k.lemma.token.txt", "\n".join(lines) + "\n")


def flickr30k_results(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder / "flickr30k_images", images)
    lines = [f"{name}| {i}| {caption}" for name, image in images.items() for i, caption in enumerate(image.captions)]
    _write(folder / "results.csv", "\n".join(["image_name| comment_number| comment", *lines]))


def text_beside(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder, images)
    for name, image in images.items():
        _write((folder / name).with_suffix(".txt"), "\n".join(image.captions) + "\n")


def text_folder(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder / "images", images)
    for name, image in images.items():
        _write((folder / "text_c10" / name).with_suffix(".txt"), "\r\n".join(image.captions))


def webdataset(folder: pathlib.Path, images: Images, kind: str = "txt") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shards = [dict(list(images.items())[start::2]) for start in range(2)]
    for number, shard in enumerate(shards):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for name, image in shard.items():
                text = "\n".join(image.captions) if kind == "txt" else json.dumps({"caption": image.captions})
                for member, content in ((name, image.content), (f"{name.rpartition('.')[0]}.{kind}", text.encode())):
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def webdataset_json(folder: pathlib.Path, images: Images) -> None:
    webdataset(folder, images, "json")


def coco_json(folder: pathlib.Path, images: Images) -> None:
    _write_images(folder / "photographs", images)
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(images)],
        "annotations": [
            {"image_id": number, "caption": caption}
            for number, image in enumerate(images.values())
            for caption in image.captions
        ],
    }
    _write(folder / "annotations" / "captions.json", json.dumps(content))


WRITERS: dict[str, tuple[str, Callable[[pathlib.Path, Images], None]]] = {
    "metadata.csv": ("imagefolder", metadata_csv),
    "metadata.jsonl": ("imagefolder", metadata_jsonl),
    "metadata.parquet": ("imagefolder", metadata_parquet),
    "kaggle": ("table", kaggle_csv),
    "flickr8k": ("table", flickr8k_tokens),
    "flickr30k": ("table", flickr30k_results),
    "txt": ("txt", text_beside),
    "text_c10": ("text_folder", text_folder),
    "tar of txt": ("webdataset", webdataset),
    "tar of json": ("webdataset", webdataset_json),
    "coco": ("coco", coco_json),
}


def write_wide(folder: pathlib.Path, count: int) -> None:
    """Writes images 80 px wide and 40 px high: the central square is of levels from 200, the rest from 0 to 30."""
    for number in range(count):
        pixels = np.full((40, 80, 3), number, np.uint8)
        pixels[:, 20:60] = 200 + number
        path = folder / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(path)
        path.with_suffix(".txt").write_text(f"gray square number {number}\n")
