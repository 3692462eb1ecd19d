import os
import pathlib
import sys

import huggingface_hub
import pytest
import tensorflow as tf
from huggingface_hub.utils import filter_repo_objects

from tests.support.processes import finish
from xmcgan.hugging_face import download

MODEL = pathlib.Path(__file__).parents[1] / "data" / "hugging_face" / "uncased"


@pytest.mark.slow
def test_the_command_writes_what_training_loads(command, tmp_path):
    output = tmp_path / "text" / "tiny"
    arguments = "xmcgan.import_text_encoder", f"--source={MODEL}", f"--output={output}"
    said = finish(command(*arguments))
    assert f"{output}: bert, 3 layers, 3 heads, 12 dimensions, 186 tokens, lower-cased, captions of up to 20" in said
    flags = (
        f"--config.text.dim=12 --config.text.preprocessor={output}/preprocessor --config.text.encoder={output}/encoder"
    )
    assert flags in said
    assert sorted(os.listdir(output.parent)) == ["tiny"]
    assert "[CLS]" in (output / "preprocessor" / "assets" / "vocab.txt").read_text().splitlines()
    encoder = tf.saved_model.load(str(output / "encoder"))
    tokens = {name: tf.ones([2, 5], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    outputs = encoder(tokens)
    assert set(outputs) == {"default", "pooled_output", "sequence_output", "encoder_outputs"}
    assert len(outputs["encoder_outputs"]) == 3
    assert len(encoder.trainable_variables) == 5 + 3 * 16 + 2  # Embeddings and their norm, blocks, pooler.
    again = command(*arguments)
    _, errors = again.communicate()
    assert again.returncode == 1
    assert (
        errors.splitlines()[-1] == f"error: {output} exists and is not empty: name another folder, or remove it first"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--output is missing: give the folder to make"),
        (["--output=x"], "give either --source=FOLDER or --download=NAME"),
        (["--output=x", "--source=y", "--download=z"], "give either --source=FOLDER or --download=NAME"),
        (["--output=x", "--source=y", "--revision=z"], "--revision belongs to --download"),
        (["--output={tmp}/x", "--source={tmp}"], "has no config.json: pass the folder of a Hugging Face model"),
    ],
)
def test_refuses(command, tmp_path, arguments, message):
    process = command("xmcgan.import_text_encoder", *(argument.format(tmp=tmp_path) for argument in arguments))
    _, errors = process.communicate()
    assert process.returncode in (1, 2)
    assert message in errors.splitlines()[-1]
    assert not os.listdir(tmp_path)


def test_downloads_neither_pickles_nor_other_formats(monkeypatch):
    offered = [
        "config.json", "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
        "tokenizer.json", "tokenizer_config.json", "vocab.txt",
        "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "README.md", "onnx/model.onnx", "modeling_custom.py",
        "openvino/config.json", "onnx/model.safetensors",
    ]  # fmt: skip

    def snapshot_download(name, revision, allow_patterns):
        assert (name, revision) == ("some/model", "v1")
        return list(filter_repo_objects(offered, allow_patterns=allow_patterns))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert download.download("some/model", "v1") == offered[:7]


def test_a_failed_download_says_what_to_fetch(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    message = r"--download=some/model cannot be downloaded \(no route to host\): .* by hand and pass --source=FOLDER$"
    with pytest.raises(FileNotFoundError, match=message):
        download.download("some/model")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"needs huggingface_hub: pip install -e '.\[huggingface\]'"):
        download.download("some/model")
