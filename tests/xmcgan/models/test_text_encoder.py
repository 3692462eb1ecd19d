import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from data_pipelines import prepare
from data_pipelines.datasets import preset
from tests.support.commands import run_program
from xmcgan.models import text_encoder

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "ball", "##s", "blue", ".")
CAPTIONS = ("A red ball.", "", " \n", b"\xff red balls", "blue " * 500)
LENGTHS = (6, 2, 2, 6, 9)
TEXT_LENGTH = 9
DIM = 24


class PublishedPreprocessor(tf.Module):
    """The API of bert_en_uncased_preprocess/3: words of pieces, up to two segments, a default length, a vocab file."""

    def __init__(self, vocabulary_file):
        super().__init__()
        self._initializer = tf.lookup.TextFileInitializer(
            vocabulary_file,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self._table = tf.lookup.StaticHashTable(self._initializer, default_value=-1)
        self._tokenizer = tf_text.BertTokenizer(self._table, lower_case=True)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    @tf.autograph.experimental.do_not_convert  # TensorFlow Text needs no AutoGraph, which takes seconds.
    def tokenize(self, captions):
        return tf.cast(self._tokenizer.tokenize(captions), tf.int32)

    @tf.function
    @tf.autograph.experimental.do_not_convert
    def bert_pack_inputs(self, inputs, seq_length=128):
        segments = [segment.merge_dims(1, -1) if segment.shape.rank > 2 else segment for segment in inputs]
        trimmed = tf_text.RoundRobinTrimmer(seq_length - len(segments) - 1).trim(segments)
        combined, segment_ids = tf_text.combine_segments(trimmed, start_of_sequence_id=2, end_of_segment_id=3)
        word_ids, _ = tf_text.pad_model_inputs(combined, seq_length)
        type_ids, mask = tf_text.pad_model_inputs(segment_ids, seq_length)
        return {"input_word_ids": word_ids, "input_mask": mask, "input_type_ids": type_ids}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folders of a preprocessor and an encoder of the published form, tiny and random; and the encoder itself."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    preprocessor = PublishedPreprocessor(str(folder / "vocab.txt"))
    for rank, segments in ((2, 1), (3, 1), (3, 2)):
        preprocessor.bert_pack_inputs.get_concrete_function(
            [tf.RaggedTensorSpec([None] * rank, tf.int32) for _ in range(segments)],
            seq_length=tf.TensorSpec([], tf.int32),
        )
    tf.saved_model.save(preprocessor, str(folder / "preprocessor"))

    tf.keras.utils.set_random_seed(0)
    layers = tf.keras.layers
    inputs = {name: layers.Input([None], dtype=tf.int32, name=name) for name in text_encoder.TOKEN_FEATURES}
    x = layers.Embedding(len(VOCABULARY), DIM)(inputs["input_word_ids"])
    x = layers.Dropout(0.5)(x + layers.Embedding(2, DIM)(inputs["input_type_ids"]))
    mask = tf.cast(inputs["input_mask"], tf.bool)
    x = layers.LayerNormalization()(x + layers.Attention()([x, x], mask=[None, mask]))  # One layer is saved sooner.
    pooled = layers.Dense(DIM, "tanh")(x[:, 0])
    outputs = {"sequence_output": x, "pooled_output": pooled, "default": pooled, "encoder_outputs": [x]}
    bert = tf.keras.Model(inputs, outputs)
    bert.save(str(folder / "encoder"), include_optimizer=False, save_format="tf")
    return str(folder / "preprocessor"), str(folder / "encoder"), bert


@pytest.fixture(scope="module")
def handles(published):
    """Both folders."""
    return published[:2]


@pytest.fixture(scope="module")
def encoder(handles):
    return text_encoder.TextEncoder(*handles, TEXT_LENGTH, dim=DIM)


def test_tokens_are_those_of_the_tokenizer_between_cls_and_sep(encoder):
    tokens = encoder.tokenize(tf.constant(CAPTIONS))
    np.testing.assert_array_equal(
        tokens["input_word_ids"],
        [
            [2, 5, 6, 7, 10, 3, 0, 0, 0],  # [CLS] a red ball . [SEP]
            [2, 3, 0, 0, 0, 0, 0, 0, 0],
            [2, 3, 0, 0, 0, 0, 0, 0, 0],
            [2, 1, 6, 7, 8, 3, 0, 0, 0],  # Bytes that are not UTF-8 are an unknown word.
            [2, 9, 9, 9, 9, 9, 9, 9, 3],
        ],
    )
    np.testing.assert_array_equal(tokens["input_mask"], np.arange(TEXT_LENGTH) < np.array(LENGTHS)[:, np.newaxis])
    assert not tokens["input_type_ids"].numpy().any()
    assert {tensor.dtype for tensor in tokens.values()} == {tf.int32}


def test_is_cut(encoder):
    captions = ["a " * (TEXT_LENGTH - 2), "a " * (TEXT_LENGTH - 1), "balls " * 4, ""]
    np.testing.assert_array_equal(encoder.is_cut(captions), [False, True, True, False])


@pytest.fixture(scope="module")
def outputs(published, encoder):
    """What Keras itself computes from the same tokens."""
    return published[2](encoder.tokenize(tf.constant(CAPTIONS)))


@pytest.mark.parametrize("pooling", text_encoder.SENTENCE_POOLINGS)
def test_pooling_against_numpy(encoder, outputs, pooling, monkeypatch):
    monkeypatch.setattr(encoder, "sentence_pooling", pooling)  # Another encoder takes seconds: test_precompute_text.
    features = encoder(tf.constant(CAPTIONS))
    words = outputs["sequence_output"].numpy()
    expected = {
        "mean": np.stack([w[:length].mean(axis=0) for w, length in zip(words, LENGTHS)]),
        "sum_over_length": np.stack([w.sum(axis=0) / length for w, length in zip(words, LENGTHS)]),
        "pooled_output": outputs["pooled_output"].numpy(),
    }[pooling]
    np.testing.assert_allclose(features.sentence, expected, atol=1e-5)
    np.testing.assert_allclose(features.words, words, atol=1e-5)
    np.testing.assert_array_equal(features.lengths, LENGTHS)
    assert features.lengths.dtype == tf.int32


def test_is_frozen_and_has_static_shapes_in_a_compiled_step(encoder):
    assert encoder.dim == DIM
    assert not encoder.trainable_variables
    shapes = []

    @tf.function
    def step(tokens):
        features = encoder.encode(tokens)
        shapes.extend(tuple(tensor.shape) for tensor in features)
        return features

    tokens = encoder.tokenize(tf.constant(CAPTIONS))
    compiled, eager = step(tokens), encoder.encode(tokens)
    assert shapes == [(5, DIM), (5, TEXT_LENGTH, DIM), (5,)]
    np.testing.assert_allclose(compiled.words, eager.words, atol=1e-6)  # Dropout is off, too.
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(encoder.encode(tokens).words)
    assert all(gradient is None for gradient in tape.gradient(total, list(encoder._encoder.variables)))


def test_tokenizes_within_a_dataset_whose_iterator_can_be_checkpointed(encoder, tmp_path):
    options = tf.data.Options()
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    dataset = tf.data.Dataset.from_tensor_slices(list(CAPTIONS)).batch(2, drop_remainder=True).map(encoder.tokenize)
    iterator = iter(dataset.with_options(options))
    assert iterator.element_spec["input_mask"].shape == (2, TEXT_LENGTH)
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "iterator"))
    resumed = iter(dataset.with_options(options))
    tf.train.Checkpoint(iterator=resumed).read(path).assert_consumed()
    np.testing.assert_array_equal(next(resumed)["input_word_ids"], next(iterator)["input_word_ids"])


def test_exports_within_a_saved_model(encoder, tmp_path):
    module = tf.Module()
    module.text_encoder = encoder
    module.sentence = tf.function(lambda x: encoder(x).sentence, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    captions = tf.constant(CAPTIONS)
    np.testing.assert_allclose(served.sentence(captions), encoder(captions).sentence, atol=1e-6)


@pytest.mark.slow
def test_runs_on_two_replicas(handles):
    program = """
        import sys
        import numpy as np
        import tensorflow as tf
        from xmcgan.models import text_encoder

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        captions = tf.constant(["a red ball", "blue", "a . red balls", "red red"])
        expected = text_encoder.TextEncoder(sys.argv[1], sys.argv[2], 9)(captions)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            encoder = text_encoder.TextEncoder(sys.argv[1], sys.argv[2], 9)
        dataset = tf.data.Dataset.from_tensor_slices(captions).batch(4, drop_remainder=True).map(encoder.tokenize)
        step = tf.function(lambda tokens: strategy.run(encoder.encode, args=(tokens,)))
        features = step(next(iter(strategy.experimental_distribute_dataset(dataset))))
        for name in text_encoder.TextFeatures._fields:
            replicas = strategy.experimental_local_results(getattr(features, name))
            assert [len(replica) for replica in replicas] == [2, 2]
            np.testing.assert_allclose(tf.concat(replicas, 0), getattr(expected, name), atol=1e-6)
    """
    run_program(program, *handles)


def test_refuses_folders_without_a_saved_model(handles, tmp_path):
    message = r"text.preprocessor='.*': this folder holds no SavedModel.*pass text.preprocessor=FOLDER"
    with pytest.raises(FileNotFoundError, match=message):
        text_encoder.TextEncoder(str(tmp_path), handles[1], TEXT_LENGTH)
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"text.encoder='.*': the SavedModel in '.*' cannot be read"):
        text_encoder.TextEncoder(handles[0], str(tmp_path), TEXT_LENGTH)


def test_a_handle_that_cannot_be_fetched_says_what_to_fetch(offline, handles):
    message = (
        r"text.encoder='https://tfhub.dev/bert/4' cannot be fetched \(no route\): "
        r"fetch https://tfhub.dev/bert/4\?tf-hub-format=compressed by hand, .*pass text.encoder=FOLDER"
    )
    with pytest.raises(FileNotFoundError, match=message) as error:
        text_encoder.TextEncoder(handles[0], "https://tfhub.dev/bert/4", TEXT_LENGTH)
    assert "\n" not in str(error.value)


def test_refuses_what_does_not_fit(handles, encoder, monkeypatch):
    loaded = dict(zip(handles, (encoder._preprocessor, encoder._encoder)))  # To load them five times takes seconds.
    monkeypatch.setattr(text_encoder.hub_files, "load", lambda handle, _: loaded[handle])
    preprocessor, encoder = handles
    with pytest.raises(ValueError, match=rf"text.dim=768, but the encoder .* set text.dim={DIM}"):
        text_encoder.TextEncoder(preprocessor, encoder, TEXT_LENGTH, dim=768)
    with pytest.raises(ValueError, match=r"text.sentence_pooling='max' is not possible: choose one of mean"):
        text_encoder.TextEncoder(preprocessor, encoder, TEXT_LENGTH, "max")
    with pytest.raises(ValueError, match=r"text.preprocessor='.*' has no method 'tokenize'"):
        text_encoder.TextEncoder(encoder, encoder, TEXT_LENGTH)
    with pytest.raises(ValueError, match=r"text.encoder='.*' is not a BERT with TF Hub's text API"):
        text_encoder.TextEncoder(preprocessor, preprocessor, TEXT_LENGTH)


def test_check_captions():
    text_encoder.check_captions(["a red ball", "un café"])
    with pytest.raises(ValueError, match="no captions: give at least one"):
        text_encoder.check_captions([])
    with pytest.raises(ValueError, match="caption 2 of 3 is empty"):
        text_encoder.check_captions(["a", " \n", "b"])
    with pytest.raises(ValueError, match="caption 1 of 1 is not valid UTF-8"):
        text_encoder.check_captions([b"\xff".decode("utf-8", "surrogateescape")])


def test_another_folder_of_records_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"^text.preprocessor='scenes:bert/preprocessor' is .* below --data_dir"
    ):
        text_encoder.load_text_encoder(preset("scenes"), str(tmp_path))


def test_handles_with_a_name_mean_what_was_prepared(monkeypatch):
    monkeypatch.setattr(text_encoder, "TextEncoder", lambda *args: args)
    prepared = prepare.text_model_folder("records")
    paths = (os.path.join(prepared, part) for part in ("preprocessor", "encoder"))
    assert text_encoder.load_text_encoder(preset("scenes"), "records") == (*paths, 17, "mean", 128)
    config = preset("coco2014")
    loaded = text_encoder.load_text_encoder(config, "records")
    assert loaded == (config.text.preprocessor, config.text.encoder, 17, "mean", 768)
