"""Images and captions in the two layouts, with the defects of real downloads."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from eval.retrieval import conceptual_captions
from eval.retrieval.conceptual_captions import ConceptualCaptions, Pair, fit_pairs, read_pairs
from xmcgan import failures

COUNT = 40


def _write_jpeg(path: pathlib.Path, level: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(tf.io.encode_jpeg(np.full([12, 20, 3], level, np.uint8), quality=95).numpy())


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    """A folder like those of img2dataset; image `i` has the level 6 * i."""
    folder = tmp_path / "cc"
    folder.mkdir()
    for i in range(COUNT):
        image = folder / f"{i // 20:05d}" / f"{i // 20:05d}{i % 20:04d}.jpg"
        _write_jpeg(image, 6 * i)
        image.with_suffix(".txt").write_text(f"grey  number {i}\n")
        image.with_suffix(".json").write_text('{"status": "success"}')
    (folder / "00000_stats.json").write_text("{}")
    return folder


def _table(folder: pathlib.Path, *lines: str) -> pathlib.Path:
    table = folder / "pairs.tsv"
    table.write_bytes("\n".join(lines).encode())
    return table


def test_img2dataset_leaves_captions_beside_the_images(folder):
    (folder / "00001" / "000010019.txt").unlink()  # An image without a caption is not a pair.
    pairs = read_pairs(folder)
    assert len(pairs) == COUNT - 1
    assert pairs[0] == Pair("00000/000000000.jpg", "grey number 0")


def test_a_table_names_captions_and_files(folder):
    table = _table(folder, "a  café \t00000/000000000.jpg\r", "", "two\t00000/000000000.jpg", "three\tx y.jpg")
    assert read_pairs(folder, table) == [
        Pair("00000/000000000.jpg", "a café"),
        Pair("00000/000000000.jpg", "two"),
        Pair("x y.jpg", "three"),
    ]


def test_unreadable_input_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^--pictures=none: there is no such folder"):
        read_pairs("none")
    with pytest.raises(ValueError, match=r"pairs\.tsv: line 2 is not `caption<TAB>file`: 'caption alone'"):
        read_pairs(folder, _table(folder, "one\ta.jpg", "caption alone"))
    with pytest.raises(ValueError, match=r"line 1 has a URL, not a file: download the images first.*img2dataset"):
        read_pairs(folder, _table(folder, "a caption\thttp://example.org/a.jpg"))
    (tmp_path / "latin.tsv").write_bytes("caf\xe9\ta.jpg".encode("latin-1"))
    with pytest.raises(ValueError, match="line 1, byte 4: not UTF-8 text"):
        read_pairs(folder, tmp_path / "latin.tsv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"--pictures=.*empty has no captions: pass a table"):
        read_pairs(tmp_path / "empty")


@pytest.mark.parametrize("name", ["/etc/a.jpg", "../a.jpg", "00000/../../a.jpg"])
def test_files_outside_of_the_folder_are_refused(name, folder):
    with pytest.raises(ValueError, match=r"pairs\.tsv: line 2 names a file outside of the folder: write"):
        read_pairs(folder, _table(folder, "one\t00000/000000000.jpg", f"two\t{name}"))


def test_all_kinds_of_images_are_taken_and_the_rest_is_counted(folder, caplog):
    shard = folder / "00000"
    for number, ending in enumerate((".JPG", ".jpeg", ".png", ".webp")):
        (shard / f"00000000{number}.jpg").rename(shard / f"00000000{number}{ending}")
    (shard / "000000004.txt").write_text(" \n")
    (shard / "000000005.txt").unlink()
    (shard / "000000006.txt").write_bytes(b"caf\xe9")
    (shard / "._000000007.jpg").write_bytes(b"")
    (folder / "other.jpg").write_bytes(b"")
    pairs = read_pairs(folder)
    assert len(pairs) == COUNT - 3
    assert [pair.file[-4:] for pair in pairs[:4]] == [".JPG", "jpeg", ".png", "webp"]
    assert f"{COUNT - 3} images are taken; passed over: " in caplog.text
    for reason in ("1 with an empty .txt file", "1 without a .txt file", "1 with a .txt file that cannot be read"):
        assert reason in caplog.text
    assert "1 outside of img2dataset's numbered folders" in caplog.text


def test_names_that_are_not_utf8_and_odd_images_are_trained_on(folder):
    for path in (folder / "00000").glob("*.jpg"):
        Image.open(path).quantize(4).save(path, "BMP")
    odd = os.path.join(os.fsencode(folder), b"00001", b"caf\xe9")
    os.rename(os.fsencode(folder / "00001" / "000010000.jpg"), odd + b".jpg")
    os.rename(os.fsencode(folder / "00001" / "000010000.txt"), odd + b".txt")
    pairs = ConceptualCaptions(folder, read_pairs(folder))
    batches = itertools.islice(pairs.training_batches(batch_size=36, image_size=16, seed=0, start_batch=0), 1)
    (batch,) = batches
    held_out = [row for batch in pairs.held_out_batches(batch_size=8, image_size=16) for row in batch.image.numpy()]
    levels = sorted(round(image.mean() / 6) for image in [*batch.image.numpy(), *held_out])
    assert levels == list(range(COUNT))


def test_an_image_that_is_damaged_during_training_is_named(folder):
    pairs = ConceptualCaptions(folder, read_pairs(folder))
    for path in folder.glob("0*/*.jpg"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(tf.errors.OpError) as raised:
        list(pairs.held_out_batches(batch_size=8, image_size=16))
    line = failures.explanation(raised.value)
    assert re.fullmatch(
        rf"{folder}/0000./\d+\.jpg cannot be used \(truncated JPEG\): replace it, or leave it out", line
    )


@pytest.mark.parametrize("content", ["", "{", '{"pairs": 1, "unfit": {}}', "[]"])
def test_a_damaged_memo_is_made_again(content, folder, tmp_path):
    pairs = read_pairs(folder)
    (tmp_path / "memo.json").write_text(content)
    assert fit_pairs(folder, pairs, tmp_path / "memo.json") == pairs
    assert json.loads((tmp_path / "memo.json").read_text())["unfit"] == {}


def test_unfit_images_are_left_out_and_remembered(folder, tmp_path, caplog, monkeypatch):
    shard = folder / "00000"
    (shard / "000000001.jpg").write_bytes((shard / "000000001.jpg").read_bytes()[:300])
    (shard / "000000002.jpg").write_text("<html>404</html>")
    pairs = [*read_pairs(folder), Pair("00009/gone.jpg", "a"), Pair("00009/gone.jpg", "b")]
    memo = tmp_path / "work" / "unfit.json"
    fit = fit_pairs(folder, pairs, memo)
    unfit = {"00000/000000001.jpg", "00000/000000002.jpg", "00009/gone.jpg"}
    assert fit == [pair for pair in pairs if pair.file not in unfit]
    assert set(json.loads(memo.read_text())["unfit"]) == unfit
    assert "3 of 41 images are left out: " in caplog.text
    assert "1 missing image" in caplog.text

    monkeypatch.setattr(conceptual_captions.image_files, "read_bytes", None)  # Images are decoded only once.
    assert fit_pairs(folder, pairs, memo) == fit
    with pytest.raises(TypeError):
        fit_pairs(folder, pairs[1:], memo)


def test_half_of_the_images_must_be_there(folder, tmp_path):
    pairs = read_pairs(folder)
    gone = [Pair(f"gone/{i}.jpg", "gone") for i in range(COUNT)]
    assert fit_pairs(folder, pairs + gone, tmp_path / "memo.json") == pairs
    with pytest.raises(ValueError, match=r"41 of 81 images in .* are unusable \(41 missing image\): pass the folder"):
        fit_pairs(folder, [*pairs, *gone, Pair("gone/too.jpg", "gone")], tmp_path / "memo.json")


def _numbers(batch) -> list[int]:
    """Returns the numbers of a batch's images, by their levels; checks that captions and ids belong to them."""
    numbers = [round(image.mean() / 6) for image in batch.image.numpy()]
    assert [caption.decode() for caption in batch.caption.numpy()] == [f"grey number {i}" for i in numbers]
    assert [image_id.decode()[-8:-4] for image_id in batch.image_id.numpy()] == [f"{i % 20:04d}" for i in numbers]
    return numbers


def _stream(pairs: ConceptualCaptions, count: int, **options) -> list[int]:
    batches = pairs.training_batches(**{"batch_size": 8, "image_size": 16, "seed": 2, "start_batch": 0, **options})
    return list(itertools.chain.from_iterable(_numbers(batch) for batch in itertools.islice(batches, count)))


def test_epochs_are_permutations_and_a_late_start_resumes(folder):
    pairs = ConceptualCaptions(folder, read_pairs(folder))
    held_out = [number for batch in pairs.held_out_batches(batch_size=3, image_size=16) for number in _numbers(batch)]
    assert (pairs.num_images, len(held_out), len(set(held_out))) == (36, 4, 4)
    stream = _stream(pairs, 9)  # Two epochs.
    first, second = stream[:36], stream[36:]
    assert sorted(first) == sorted(second) == sorted(set(range(COUNT)) - set(held_out))
    assert first != second
    for start in (1, 4, 7):
        assert _stream(pairs, 2, start_batch=start) == stream[8 * start : 8 * (start + 2)]
    assert _stream(pairs, 4, seed=3) != stream[:32]


def test_captions_of_a_held_out_image_are_held_out(folder):
    twice = [Pair(pair.file, f"{text} {pair.caption}") for text in ("one", "two") for pair in read_pairs(folder)]
    pairs = ConceptualCaptions(folder, twice)
    training = {caption.decode() for caption in pairs.captions().as_numpy_iterator()}
    held_out = [row for batch in pairs.held_out_batches(batch_size=8, image_size=16) for row in batch.caption.numpy()]
    assert len(held_out) == 4
    assert len(training) == 2 * 36
    for caption in held_out:
        words = caption.decode().split(maxsplit=1)[1]
        assert {f"one {words}", f"two {words}"}.isdisjoint(training)


def test_too_few_images_are_refused(folder):
    with pytest.raises(ValueError, match=r"has 19 usable images: at least 20 are needed"):
        ConceptualCaptions(folder, read_pairs(folder)[:19])
