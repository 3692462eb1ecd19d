import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import xmcgan
from tests.support.command_modules import load
from tests.support.tiny_networks import tiny_config
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.serving.caption_to_image import CaptionToImage
from xmcgan.serving.signatures import signatures
from xmcgan.text_to_image import TextToImage, Tokens
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator

sample = load("xmcgan.sample")

CAPTIONS = ["a red ball", "two blue cubes", "a tree", "the sea at night", "a cat"]
SEEDS = [3, 1, 4, 1, 5]


class _HashedText:
    """In a text encoder's place: features that depend on the caption alone."""

    def __init__(self, config):
        self.words, self.dim = config.data.text_length, config.text.dim

    def __call__(self, captions):
        def features_of(caption):
            key = tf.stack([tf.strings.to_hash_bucket_fast(caption, 2**31 - 1), 0])
            return tf.random.stateless_normal([self.words + 1, self.dim], key)

        features = tf.map_fn(features_of, captions, fn_output_signature=tf.TensorSpec([self.words + 1, self.dim]))
        return TextFeatures(features[:, 0], features[:, 1:], tf.fill(tf.shape(captions), 3))


@pytest.fixture(scope="module")
def model():
    """A function of the number of images drawn at once; all of them draw by one generator."""
    config = tiny_config()
    generator = build_generator(config)
    generator.to_rgb.kernel.assign(20.0 * generator.to_rgb.kernel)

    def make(at_once: int) -> TextToImage:
        networks = CaptionToImage(generator, _HashedText(config), config, at_once=at_once)
        return TextToImage(networks, signatures(networks), "tiny", {})

    return make


def _levels(a, b) -> int:
    """The largest difference, in levels of 255."""
    assert a.shape == b.shape and a.dtype == b.dtype == np.uint8
    return np.max(np.abs(a.astype(int) - b.astype(int)))


def test_notices_of_what_is_not_read():
    assert Tokens(["[CLS]", "a", "red", "sun", "##set", "[SEP]"], False).notices() == []
    (unknown,) = Tokens(["[CLS]", "a", "c", "##a", "##t", "[UNK]", "red", "[SEP]"], False).notices()
    assert unknown == "This model was not trained on these words, and cannot draw them: cat, [UNK]."
    (cut,) = Tokens(["[CLS]", "a", "red", "sun", "##set", "[SEP]"], True).notices()
    assert cut == "This model reads only the first 3 words: “... a red sunset”. The rest is ignored."
    assert Tokens(["[CLS]", "[SEP]"], False).notices() == []


def test_images_do_not_depend_on_the_batch(model):
    # 5 captions: part of a batch, a whole one, and one and a part.
    one_by_one, in_threes, together = (model(size)(CAPTIONS, SEEDS) for size in (1, 3, 8))
    assert together.shape == (5, 64, 64, 3)
    assert np.ptp(together) > 100
    for other in (one_by_one, in_threes):  # Rounding may fall to either side.
        assert _levels(other, together) <= 1


def test_captions_and_seeds_name_an_image(model):
    draw = model(4)
    drawn = draw([CAPTIONS[0], CAPTIONS[0], CAPTIONS[0], CAPTIONS[1]], [7, 8, 7, 7])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert np.any(drawn[0] != drawn[1])
    assert np.any(drawn[0] != drawn[3])
    assert _levels(draw([CAPTIONS[0]], [7]), drawn[:1]) <= 1


@pytest.mark.parametrize("captions, seeds", [([], [1]), (["a"], [1, 2]), (["a", "b"], [1]), (["a", "b"], [])])
def test_as_many_seeds_as_captions(captions, seeds, model):
    expected = f"{len(captions)} captions and {len(seeds)} seeds: give as many of each"
    with pytest.raises(ValueError, match=expected):
        model(2)(captions, seeds)


def test_a_model_says_where_it_comes_from(of_run, exported, drawing_run, export_dir):
    assert of_run.name == f"{drawing_run.name}, step 12" and exported.name == "ball/1"
    assert of_run.identity == {"run": drawing_run.name, "step": 12, "weights": "averaged"}
    assert exported.identity["export"] == "ball/1" and len(exported.identity["sha256"]) == 64
    assert of_run.config == exported.config
    assert (of_run.folder, exported.folder) == (str(drawing_run), str(export_dir / "1"))
    assert (of_run.image_size, of_run.noise_dim) == (exported.image_size, exported.noise_dim) == (64, 32)


@pytest.mark.slow  # The command of tests/eval/test_run_evaluation.py draws so.
@pytest.mark.parametrize("kind", ["run", "export"])
def test_replicas_draw_what_python_draws(kind, of_run, exported, drawing_run, scenes_dir, export_dir):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = TextToImage.load(str({"run": drawing_run, "export": export_dir}[kind]), str(scenes_dir))
    batches = tf.data.Dataset.from_tensor_slices((CAPTIONS, SEEDS)).batch(2).map(model.prepare)

    @tf.function
    def draw(batch):
        return strategy.run(model.draw, args=(batch,))

    drawn = np.concatenate([draw(batch).numpy() for batch in batches])
    for other in (of_run, exported):
        assert _levels(drawn, other(CAPTIONS, SEEDS)) <= 1


def test_another_checkpoint_of_the_run(drawing_run, of_run, exported):
    before, name, identity = of_run(CAPTIONS, SEEDS), of_run.name, of_run.identity
    kernel = of_run._model.generator.to_rgb.kernel
    try:
        kernel.assign(tf.zeros_like(kernel))
        of_run.name, of_run.identity = "another", {}
        assert np.ptp(of_run(CAPTIONS, SEEDS)) == 0
    finally:
        step = of_run.restore(checkpoints.find(str(drawing_run)))
    assert (step, of_run.name, of_run.identity) == (12, name, identity)
    np.testing.assert_array_equal(of_run(CAPTIONS, SEEDS), before)
    with pytest.raises(ValueError, match="ball/1 is an export, which has the weights of one step"):
        exported.restore(checkpoints.find(str(drawing_run)))


def test_samples_of_held_out_captions(of_run, scenes_dir, tmp_path, monkeypatch):
    """By the command: tests/xmcgan/training/test_loop.py, with -m slow."""
    for flag, value in {"_HELD_OUT": 3, "_SEED": 0, "_DATA_DIR": str(scenes_dir)}.items():
        monkeypatch.setattr(sample, flag, types.SimpleNamespace(value=value))
    (page,) = sample.held_out(of_run.config, page_rows=8)
    assert len(page.captions) == 3 and page.real.shape == (3, 64, 64, 3)
    sample.draw_page(of_run, page, seeds=[0, 1], first=0, grid_path=str(tmp_path / "grid.png"))
    assert len(list(tmp_path.glob("caption_*.png"))) == 6
    assert Image.open(tmp_path / "grid.png").width > 3 * 64  # With the real images.


def test_what_is_there_to_import():
    assert xmcgan.TextToImage is TextToImage
    assert set(xmcgan.__all__) <= set(dir(xmcgan))
    for name in xmcgan.__all__:
        assert getattr(xmcgan, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'xmcgan' has no attribute 'Painter'"):
        _ = xmcgan.Painter
