import os
import shutil
import socket

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from xmcgan.models import hub_files, keras_weights

FLAG = "--some.flag"


class Doubling(tf.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def __call__(self, x):
        return self.factor * x


@pytest.fixture
def folder(tmp_path):
    tf.saved_model.save(Doubling(), str(tmp_path / "doubling"))
    return tmp_path / "doubling"


def test_loads_a_folder(folder):
    assert hub_files.load(str(folder), FLAG)(tf.constant(3.0)) == 6.0


def test_loads_the_hub_format_of_tf1(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [])
        signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": 2.0 * x})
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.add_meta_graph(["train"], {"default": signature})
        builder.save()
    (tmp_path / "old" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    assert hub_files.load(str(tmp_path / "old"), FLAG).signatures["default"](x=tf.constant(3.0))["y"] == 6.0


def test_says_which_flag_takes_a_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"--some\.flag='.*': this folder holds no SavedModel.*pass --some\.flag"
    ):
        hub_files.load(str(tmp_path), FLAG)
    with pytest.raises(FileNotFoundError, match=r"--some\.flag='.*/no': there is no such folder: pass --some\.flag"):
        hub_files.check(str(tmp_path / "no"), FLAG)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ValueError, match=r"cannot be read \(its saved_model\.pb is empty or cut off\): remove that"):
        hub_files.load(str(tmp_path), FLAG)
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"--some\.flag='.*': the SavedModel in '.*' cannot be read .* fetch it again"):
        hub_files.load(str(tmp_path), FLAG)


def test_says_what_to_fetch_by_hand(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        assert socket.getdefaulttimeout() > 0  # A firewall that drops packets must not hold us for minutes.
        raise OSError("no\nroute")

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    message = (
        r"--some\.flag='https://tfhub.dev/bert/4' cannot be fetched \(no route\): fetch "
        r"https://tfhub.dev/bert/4\?tf-hub-format=compressed by hand, unpack it .* and pass --some\.flag=FOLDER"
    )
    with pytest.raises(FileNotFoundError, match=message) as error:
        hub_files.load("https://tfhub.dev/bert/4", FLAG)
    assert "\n" not in str(error.value)
    assert socket.getdefaulttimeout() is None


def test_the_cache_is_the_users_own(monkeypatch, tmp_path):
    """In the system's temporary folder, others could put a network under the name of the one that we want."""
    fetched = []
    monkeypatch.setattr(
        "tensorflow_hub.resolve", lambda handle: fetched.append(os.environ["TFHUB_CACHE_DIR"]) or handle
    )
    monkeypatch.setattr("tensorflow_hub.load", lambda folder: folder)
    for name in ("TFHUB_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    hub_files.load("https://tfhub.dev/bert/4", FLAG)
    assert fetched == [str(tmp_path / ".cache" / "tfhub_modules")]
    assert os.stat(fetched[0]).st_mode & 0o777 == 0o700
    monkeypatch.setenv("TFHUB_CACHE_DIR", "elsewhere")
    hub_files.load("https://tfhub.dev/bert/4", FLAG)
    assert fetched[1:] == ["elsewhere"]
    monkeypatch.delenv("TFHUB_CACHE_DIR")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(OSError, match=r"tfhub_modules belongs to another user: set TFHUB_CACHE_DIR"):
        hub_files.load("https://tfhub.dev/bert/4", FLAG)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"tfhub_modules: Not a directory: set TFHUB_CACHE_DIR to a folder"):
        hub_files.load("https://tfhub.dev/bert/4", FLAG)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "^this user has no home folder: set TFHUB_CACHE_DIR"),  # As in a container, for a user it does not know.
        (
            {"TFHUB_CACHE_DIR": "~no_such_user/x"},
            "^TFHUB_CACHE_DIR=~no_such_user/x: '~no_such_user' has no home folder",
        ),
        ({"XDG_CACHE_HOME": "~no_such_user"}, "^XDG_CACHE_HOME=~no_such_user: '~no_such_user' has no"),
    ],
)
def test_a_cache_in_a_home_folder_that_does_not_exist(given, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("TFHUB_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, given.get(name, ""))
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises((OSError, ValueError), match=words):
        hub_files.load("https://tfhub.dev/bert/4", FLAG)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a[b]", "a*", "a?", "{a,b}", "a\\b", "ä b%d"])
def test_the_path_of_a_folder_is_no_pattern(name, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / name / "model")
    hub_files.load(str(copy), FLAG)


def test_digest_is_of_what_computes(folder, tmp_path):
    digest = hub_files.saved_model_digest(str(folder))
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "LICENSE").write_text("It may be used.")
    assert hub_files.saved_model_digest(str(copy)) == digest

    (weights,) = (copy / "variables").glob("variables.data*")
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    changed = hub_files.saved_model_digest(str(copy))
    os.makedirs(copy / "assets", exist_ok=True)
    (copy / "assets" / "names.txt").write_text("ball")
    assert len({digest, changed, hub_files.saved_model_digest(str(copy))}) == 3


def test_digest_of_weights_is_of_shape_and_value():
    values = np.arange(6, dtype=np.float32)
    digest = hub_files.weights_digest([tf.Variable(values, name="a"), tf.Variable(1.0)])
    assert hub_files.weights_digest([tf.Variable(values, name="b"), tf.Variable(1.0)]) == digest
    others = [
        [tf.Variable(values.reshape(2, 3)), tf.Variable(1.0)],
        [tf.Variable(values.astype(np.float64)), tf.Variable(1.0)],
        [tf.Variable(values), tf.Variable(np.nextafter(np.float32(1), np.float32(2)))],
        [tf.Variable(1.0), tf.Variable(values)],
        [tf.Variable(values)],
    ]
    assert len({digest, *map(hub_files.weights_digest, others)}) == 6


def test_downloads_pass_on_other_errors():
    with pytest.raises(KeyError), keras_weights.downloading(FLAG):
        raise KeyError("not of the download")
    message = r"--some\.flag: .*https://host/a\.h5.*pass --some\.flag=FILE"
    with pytest.raises(FileNotFoundError, match=message), keras_weights.downloading(FLAG):
        raise Exception("URL fetch failure on https://host/a.h5: None -- no route")  # As Keras does.


def test_functions_are_saved_without_those_of_their_layers(tmp_path):
    dense = tf.keras.layers.Dense(2)
    dense(tf.ones([1, 3]))
    apply = tf.function(lambda x: dense(x), input_signature=[tf.TensorSpec([None, 3])], autograph=False)
    hub_files.save_functions(tmp_path, {"__call__": apply}, {"trainable_variables": dense.variables})
    loaded = hub_files.load(str(tmp_path), "--network")
    x = tf.random.stateless_normal([4, 3], [1, 2])
    np.testing.assert_allclose(loaded(x), dense(x))
    assert [variable.shape for variable in loaded.trainable_variables] == [[3, 2], [2]]
    nodes = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    kinds = [node.WhichOneof("kind") for node in nodes.meta_graphs[0].object_graph_def.nodes]
    assert kinds.count("function") == 1
