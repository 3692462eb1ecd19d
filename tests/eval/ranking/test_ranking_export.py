"""The files for Label Studio: valid, the same for all models, and without any hint of the model of an image."""

import base64
import json
import os
import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from data_pipelines import input_pipeline
from eval.ranking import design, export, ranked_models

NUM_CAPTIONS = 12
SIZE = 48


@pytest.fixture(scope="module")
def models(folders):
    return {**{name: str(folder) for name, folder in folders.items()}, "quagga": "dataset"}


@pytest.fixture(scope="module")
def exported(models, draw, tmp_path_factory):
    """The folder of a ranking, and its key."""
    output = tmp_path_factory.mktemp("ranking")
    return output, export.export(output, models, draw, image_size=SIZE)


def tasks_of(output, question: str) -> list[dict]:
    return json.loads((output / "label_studio" / question / "tasks.json").read_text())


def urls_of(task: dict) -> dict[str, str]:
    return {item["id"]: re.search(r"url\((.*?)\)", item["html"])[1] for item in task["data"]["pictures"]}


def test_every_page_shows_what_the_key_says(exported, draw, scenes_dir):
    output, claimed = exported
    batch = next(
        iter(
            input_pipeline.evaluation_batches(
                "scenes",
                "validation",
                scenes_dir,
                batch_size=NUM_CAPTIONS,
                image_size=SIZE,
                num_captions=NUM_CAPTIONS,
                seed=3,
            )
        )
    )
    assert [" ".join(caption.decode().split()) for caption in batch.caption.numpy()] == draw.captions
    pages = {page.token: page for page in claimed.comparisons}
    assert len(pages) == 2 * NUM_CAPTIONS
    for question in ("realism", "alignment"):
        tasks = tasks_of(output, question)
        assert sorted(pages[task["data"]["comparison"]].row for task in tasks) == list(range(NUM_CAPTIONS))
        for task in tasks:
            page = pages[task["data"]["comparison"]]
            assert page.question == question
            assert task["data"].get("caption") == (draw.captions[page.row] if question == "alignment" else None)
            urls = urls_of(task)
            assert list(urls) == ["A", "B", "C"]
            assert re.findall(r"url\((.*?)\)", task["data"]["row"]) == list(urls.values())
            for model, url in zip(page.models, urls.values()):
                prefix = "/data/local-files/?d="
                assert url.startswith(prefix)
                pixels = np.asarray(Image.open(output / "label_studio" / url[len(prefix) :]))
                assert pixels.shape == (SIZE, SIZE, 3)
                if model == "quagga":
                    np.testing.assert_array_equal(pixels, batch.image[page.row])
                else:
                    assert np.argmax(pixels.mean(axis=(0, 1))) == {"zebra": 0, "walrus": 2}[model]


def test_nothing_reveals_the_model(exported, models, folders):
    output, claimed = exported
    importable = output / "label_studio"
    assert sorted(path.name for path in output.iterdir()) == ["captions.tsv", "key.json", "label_studio"]
    betraying = re.compile("|".join([*models, "of_", "dataset", claimed.secret]))
    files = [path for path in importable.rglob("*") if path.is_file()]
    assert len(files) == 3 * NUM_CAPTIONS + 2 * 3 + 1
    for path in files:
        assert not betraying.search(str(path.relative_to(output)))
        if path.suffix != ".png":
            assert not betraying.search(path.read_text()), path
    images = [path for path in files if path.suffix == ".png"]
    for path in images:
        content, chunks, place = path.read_bytes(), [], 8
        while place < len(content):
            chunks.append(content[place + 4 : place + 8])
            place += 12 + int.from_bytes(content[place : place + 4], "big")
        assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
    assert len({path.stat().st_mtime_ns for path in images}) == 1
    assert len({Image.open(path).size for path in images}) == len({Image.open(path).mode for path in images}) == 1


@pytest.mark.parametrize("question", ["realism", "alignment"])
def test_interface_fits_the_tasks(question, exported):
    """Checks what can be checked without Label Studio."""
    folder = exported[0] / "label_studio" / question
    text = (folder / "interface.xml").read_text()
    root = ElementTree.fromstring(text)
    named = {element.get("name"): element for element in root.iter() if element.get("name")}
    ranker = named["ranking"]
    assert ranker.tag == "Ranker" and named[ranker.get("toName")].tag == "List"
    assert [bucket.get("name") for bucket in ranker] == ["best_to_worst"]
    assert ("caption" in named) == (question == "alignment")
    for task in tasks_of(exported[0], question):
        assert {*re.findall(r'"\$(\w+)"', text), "comparison"} == set(task["data"])
    project = json.loads((folder / "project.json").read_text())
    assert (project["label_config"], project["maximum_annotations"]) == (text, 5)


def test_embedded_images(exported, models, draw, tmp_path):
    export.export(tmp_path, models, draw, image_size=SIZE, embed=True, raters=3)
    claimed = design.read_key(tmp_path)
    pages = {page.token: page for page in claimed.comparisons}
    for task in tasks_of(tmp_path, "realism"):
        page = pages[task["data"]["comparison"]]
        for model, url in zip(page.models, urls_of(task).values()):
            name = design.image_name(claimed.secret, page.row, model)
            header, _, content = url.partition(",")
            assert header == "data:image/png;base64"
            assert base64.b64decode(content) == (tmp_path / "label_studio/pictures" / name).read_bytes()
    assert json.loads((tmp_path / "label_studio/realism/project.json").read_text())["maximum_annotations"] == 3
    assert "LOCAL_FILES" not in (tmp_path / "label_studio/README.txt").read_text()


def test_a_stopped_export_resumes(exported, models, draw, tmp_path):
    output = tmp_path / "stopped"
    shutil.copytree(exported[0], output)
    images = sorted((output / "label_studio/pictures").iterdir())
    contents = {path: path.read_bytes() for path in images}
    for path in images[::3]:
        path.unlink()
    (output / "label_studio/pictures/a.png.1.incomplete").write_bytes(b"half")
    shutil.rmtree(output / "label_studio/realism")
    kept = {path: os.stat(path).st_ino for path in images if path.exists()}
    assert export.export(output, models, draw, image_size=SIZE) == exported[1]
    assert {path: path.read_bytes() for path in (output / "label_studio/pictures").iterdir()} == contents
    assert {path: os.stat(path).st_ino for path in kept} == kept
    assert tasks_of(output, "realism") == tasks_of(exported[0], "realism")


def test_another_ranking_is_refused(exported, models, draw):
    output = exported[0]
    with pytest.raises(ValueError, match="holds a ranking with other image_size: 48, not 64: give another --output"):
        export.export(output, models, draw, image_size=64)
    with pytest.raises(ValueError, match="other models"):
        export.export(output, {"ours": models["zebra"], "quagga": "dataset"}, draw, image_size=SIZE)
    with pytest.raises(ValueError, match="other captions: give another"):
        design.claim_key(output, exported[1].settings, ["a cat"] * NUM_CAPTIONS)
    assert design.read_key(output) == exported[1]


def test_a_training_run_draws_its_images(models, draw, drawing_run, of_run, tmp_path):
    run, output = str(drawing_run), tmp_path / "ranking"
    claimed = export.export(output, {"ours": run, "quagga": "dataset"}, draw, image_size=64)
    assert claimed.settings["models"]["ours"] == {"run": run, "step": 12, "seed": 3}
    drawn = of_run(draw.captions, [3 + row for row in range(NUM_CAPTIONS)])
    for row in range(NUM_CAPTIONS):
        path = output / "label_studio/pictures" / design.image_name(claimed.secret, row, "ours")
        assert np.max(np.abs(np.asarray(Image.open(path)).astype(int) - drawn[row])) <= 1
    assert np.ptp(drawn) > 50


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["a=x"], "1 models cannot be ranked: give --model=NAME=WHERE 2 to 4 times"),
        (["a=x"] * 2, "--model=a=x: there is already a model 'a'"),
        ([f"{name}=x" for name in "abcde"], "5 models cannot be ranked"),
        (["a"], "--model=a: write --model=NAME=WORKDIR"),
        (["=a"], "--model==a: write"),
        (["a="], "--model=a=: write"),
    ],
)
def test_models_that_cannot_be_ranked(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ranked_models.parse_models(arguments)


def test_models_are_named():
    assert ranked_models.parse_models(["ours=runs/a=b", "the others=dataset"]) == {
        "ours": "runs/a=b",
        "the others": "dataset",
    }


def test_an_incomplete_folder_of_images_is_refused(folders, draw, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither the folder of a training run .* nor one of images"):
        ranked_models.find_model(str(tmp_path), "latest", draw, SIZE)
    folder = tmp_path / "copy"
    shutil.copytree(folders["zebra"], folder)
    lines = (folder / "captions.tsv").read_text().splitlines(keepends=True)
    (folder / "captions.tsv").write_text("".join(lines[1:]))
    with pytest.raises(
        ValueError, match=r"has no image of \d of the 12 captions, such as '.*': draw the captions of captio"
    ):
        export.export(tmp_path / "ranking", {"a": str(folder), "real": "dataset"}, draw)
    listed = (tmp_path / "ranking/captions.tsv").read_text().splitlines()
    assert [line.split("\t")[1] for line in listed] == draw.captions  # The captions are listed even so.
    (folder / "captions.tsv").write_text("".join(lines) + "no tab\n")
    with pytest.raises(ValueError, match=r"captions\.tsv, line \d+: not 'file<TAB>caption' "):
        ranked_models.find_model(str(folder), "latest", draw, SIZE)
    (folder / "captions.tsv").write_text("".join(lines))
    (folder / "zebra0.png").write_bytes((folder / "zebra0.png").read_bytes()[:300])
    with pytest.raises(ValueError, match=r"zebra0\.png cannot be used \(damaged PNG\): replace it"):
        export.export(tmp_path / "damaged", {"a": str(folder), "real": "dataset"}, draw)
    (folder / "zebra0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"zebra0\.png is missing"):
        ranked_models.find_model(str(folder), "latest", draw, SIZE)


def test_a_repeated_caption_uses_its_images_in_turn(tmp_path):
    for name, level in (("a", 10), ("b", 20), ("c", 30)):
        Image.new("L", (4, 4), level).save(tmp_path / f"{name}.png")
    (tmp_path / "captions.tsv").write_text("a.png\ttwo\nb.png\tone\nc.png\ttwo \n\n")
    draw = ranked_models.CaptionDraw("scenes", "", ["two", "one", "two", "two"], 0)
    source = ranked_models.find_model(str(tmp_path), "latest", draw, SIZE).load("squash")
    levels = [source.images(batch)[0, 0, 0].numpy().tolist() for batch in source.batches(0, 16)]
    assert levels == [[10] * 3, [20] * 3, [30] * 3, [10] * 3]
