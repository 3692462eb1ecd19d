"""The SavedModel that `eval.train_dual_encoder` makes, other models used instead, and the towers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import prepare
from eval.retrieval import dual_encoder
from eval.retrieval.dual_encoder import load_dual_encoder, save_dual_encoder
from eval.retrieval.towers import TowerOptions, Towers, learn_vocabulary
from tests.support.commands import run_program
from tests.support.eagerly import eagerly
from xmcgan.models import bert_model

VOCABULARY = [*bert_model.SPECIAL_TOKENS, "a", "red", "ball", "blue", "box"]
CAPTIONS = ["a red ball", "a blue box", "", "A  blue BOX"]
SMALL = TowerOptions(image_size=16, text_length=8, dim=6, seed=4)


class _Wrapped(tf.Module):
    """A model from elsewhere, whose embeddings are the mean color and a hash of the words."""

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = tf.Variable(scale)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def encode_images(self, images):
        return self.scale * tf.math.l2_normalize(1.0 + tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2]), axis=1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def encode_captions(self, captions):
        return self.scale * tf.one_hot(tf.strings.to_hash_bucket_fast(captions, 3), 3)


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [*shape, 3]).astype(np.uint8)


@pytest.fixture(scope="module")
def towers() -> Towers:
    return Towers(SMALL, VOCABULARY)


@pytest.fixture(scope="module")
def saved(towers, tmp_path_factory) -> str:
    folder = str(tmp_path_factory.mktemp("saved") / "colours")
    save_dual_encoder(towers, folder, {"name": "mine", "steps": 7})
    return folder


@pytest.fixture(scope="module")
def loaded(saved):
    return load_dual_encoder(saved)


def test_another_process_loads_it_and_gives_the_same(towers, saved, tmp_path):
    images = _images(3, 40, 24)
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, numpy as np\n"
        "from eval.retrieval.dual_encoder import load_dual_encoder\n"
        "encoder = load_dual_encoder(sys.argv[1])\n"
        "images = encoder.encode_images(np.load(sys.argv[2] + '/images.npy'))\n"
        f"np.savez(sys.argv[2] + '/out.npz', images=images, captions=encoder.encode_captions({CAPTIONS!r}))\n"
    )
    run_program(program, saved, tmp_path)
    with np.load(tmp_path / "out.npz") as out:
        np.testing.assert_allclose(out["images"], towers.encode_images(images), atol=1e-6)
        np.testing.assert_allclose(out["captions"], towers.encode_captions(tf.constant(CAPTIONS)), atol=1e-6)
        for rows in (out["images"], out["captions"]):
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-6)


def test_name_and_identity(loaded, saved):
    assert (loaded.name, loaded.dim) == ("mine", 6)
    assert {"name": "mine", "steps": 7, "dim": 6}.items() <= loaded.identity.items()
    assert len(loaded.identity["sha256"]) == 64
    json.dumps(loaded.identity)
    assert len(dual_encoder.read_report(saved)["weights_sha256"]) == 64


def test_images_of_any_size_and_captions_of_any_case(loaded):
    image = np.kron(_images(1, 16, 16), np.ones([1, 4, 4, 1], np.uint8))  # Each pixel becomes 16.
    np.testing.assert_allclose(loaded.encode_images(image), loaded.encode_images(_images(1, 16, 16)), atol=1e-6)
    _, box, _, same = loaded.encode_captions(tf.constant(CAPTIONS)).numpy()
    np.testing.assert_array_equal(box, same)


@pytest.mark.slow  # Another network of the metrics on two replicas: test_inception.
def test_it_runs_in_the_scope_of_a_strategy(towers, saved):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        encoder = load_dual_encoder(saved)
    images = _images(2, 16, 16)
    embeddings = strategy.run(tf.function(encoder.encode_images), args=(tf.constant(images),))
    np.testing.assert_allclose(embeddings, towers.encode_images(images), atol=1e-6)
    captions = tf.constant(CAPTIONS)
    np.testing.assert_allclose(encoder.encode_captions(captions), towers.encode_captions(captions), atol=1e-6)


def test_another_model_can_be_used_instead(tmp_path):
    folder = tmp_path / "clip"
    tf.saved_model.save(_Wrapped(), str(folder))
    encoder = load_dual_encoder(f"{folder}/")
    assert (encoder.name, encoder.dim) == ("clip", 3)
    mean = 1.0 + _images(1, 5, 5).mean(axis=(1, 2))
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(encoder.encode_images(_images(1, 5, 5)), expected, atol=1e-6)


def test_other_saved_models_are_refused(tmp_path, scenes_dir):
    with pytest.raises(FileNotFoundError, match=r"^--dual='.*/none': there is no such folder: pass --dual="):
        load_dual_encoder(str(tmp_path / "none"), flag="--dual")
    bert = f"{prepare.text_model_folder(scenes_dir)}/encoder"
    with pytest.raises(ValueError, match=r"is not a dual encoder .* has no method encode_images and encode_captions$"):
        load_dual_encoder(bert)
    folder = str(tmp_path / "long")
    tf.saved_model.save(_Wrapped(2.0), folder)
    with pytest.raises(
        ValueError, match=r"encode_images returns \(2, 3\) of lengths \[.*\], not \[2, dim\] of length 1"
    ):
        load_dual_encoder(folder)
    (tmp_path / "long" / dual_encoder.REPORT).write_text("[]")
    with pytest.raises(ValueError, match=r"dual_encoder\.json: expected object, got .*: repair"):
        load_dual_encoder(folder)


def test_an_existing_folder_is_not_overwritten(towers, saved):
    with pytest.raises(FileExistsError, match="not empty"):
        save_dual_encoder(towers, saved, {"name": "mine"})


def test_the_seed_decides_the_weights(towers):
    images = _images(2, 16, 16)
    again, other = (Towers(SMALL._replace(seed=seed), VOCABULARY) for seed in (4, 5))
    for encode, batch in (("encode_images", images), ("encode_captions", tf.constant(CAPTIONS))):
        with eagerly():
            expected, same, different = (getattr(each, encode)(batch) for each in (towers, again, other))
        np.testing.assert_array_equal(same, expected)
        assert np.abs(different - expected).max() > 0.01


def test_the_vocabulary_has_the_words_of_the_captions():
    captions = tf.data.Dataset.from_tensor_slices(["A red ball"] * 50 + ["a blue box"] * 50)
    vocabulary = learn_vocabulary(captions)
    assert tuple(vocabulary[:5]) == bert_model.SPECIAL_TOKENS
    assert {"red", "ball", "blue", "box"} <= set(vocabulary)


@pytest.fixture(scope="module")
def published(scenes_dir) -> TowerOptions:
    bert = prepare.text_model_folder(scenes_dir)
    return SMALL._replace(
        text_tower="bert", text_preprocessor=f"{bert}/preprocessor", text_encoder=f"{bert}/encoder", text_length=12
    )


def test_a_frozen_bert_is_averaged_and_projected(published):
    towers = Towers(published, [])
    assert [variable.shape for variable in towers.text_tower.trainable_variables] == [[128, 6], [6]]
    tokens = towers.tokenize(tf.constant(CAPTIONS))
    assert tokens["input_word_ids"].shape == [4, 12]
    words = tf.saved_model.load(published.text_encoder)(tokens)["sequence_output"].numpy()
    mask = tokens["input_mask"].numpy()
    means = np.stack([words[i, : mask[i].sum()].mean(axis=0) for i in range(4)])
    projected = means @ towers.text_tower.projection.kernel.numpy()
    expected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    with eagerly():
        np.testing.assert_allclose(towers.encode_captions(tf.constant(CAPTIONS)), expected, atol=1e-5)


@pytest.mark.slow  # A frozen one: above.
def test_a_bert_is_fine_tuned_if_it_can_be(published, tmp_path):
    tf.saved_model.save(bert_model.Encoder(200, seed=0), str(tmp_path / "frozen"))
    frozen = published._replace(text_encoder=str(tmp_path / "frozen"), train_text_encoder=True)
    with pytest.raises(ValueError, match=r"has no trainable_variables: leave out --train_text_encoder"):
        Towers(frozen, [])
    towers = Towers(published._replace(train_text_encoder=True), [])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(towers.embed_tokens(towers.tokenize(tf.constant(CAPTIONS)), training=True) ** 3)
    gradients = tape.gradient(total, towers.text_tower.trainable_variables)
    assert len(gradients) > 30
    assert sum(gradient is not None for gradient in gradients) > 30


def test_pre_trained_weights_that_are_missing():
    with pytest.raises(FileNotFoundError, match=r"--image_weights='none.h5' does not exist"):
        Towers(SMALL._replace(image_tower="resnet50", image_size=32, image_weights="none.h5"), VOCABULARY)


@pytest.mark.slow  # Weights from a file: tests/xmcgan/models/test_image_encoder.py.
def test_pre_trained_weights_are_read_from_a_file(tmp_path):
    network = tf.keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    network.save_weights(tmp_path / "resnet.h5")
    options = SMALL._replace(image_tower="resnet50", image_size=32, image_weights=str(tmp_path / "resnet.h5"))
    towers = Towers(options, VOCABULARY)
    images = _images(2, 32, 32)
    features = network(tf.keras.applications.resnet50.preprocess_input(images.astype(np.float32)), training=False)
    projected = features @ towers.image_tower.get_layer("projection").kernel
    expected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    # Batch normalization keeps its statistics, in training, too.
    np.testing.assert_allclose(towers.embed_images(tf.constant(images), training=True), expected, atol=1e-4)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image_tower": "vgg"}, "--image_tower=vgg is unknown: choose one of small, resnet50, efficientnetb4"),
        ({"image_size": 40}, "--image_size=40 does not suit --image_tower=small: set a multiple of 16"),
        ({"image_weights": "imagenet"}, "--image_weights belongs to a published --image_tower"),
        ({"image_tower": "resnet50", "image_size": 16}, "--image_size=16 is too small"),
        ({"text_tower": "bert"}, "--text_tower=bert needs --text_preprocessor and --text_encoder"),
        ({"text_encoder": "x"}, "belong to --text_tower=bert"),
        ({"dim": 0}, "--dim=0 is too small: set it to 1 or more"),
    ],
)
def test_impossible_towers_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Towers(SMALL._replace(**changes), VOCABULARY)
