import itertools

import tensorflow as tf

from data_pipelines.builders.repeatable_writer import RepeatableWriter


def _serialize(**fields: bytes) -> bytes:
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in fields.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


class _Lines:
    """Stands for TFDS' writer."""

    def write(self, path, examples):
        path.write_bytes(b"\n".join(example for _, example in examples))
        return ["position"]


def test_fields_in_any_order_give_the_same_bytes(tmp_path):
    parts = [_serialize(image=b"1"), _serialize(captions=b"2"), _serialize(file_name=b"3")]
    # Examples that follow each other in a message are one example.
    orders = [b"".join(order) for order in itertools.permutations(parts)]
    paths = [tmp_path / str(number) for number in range(len(orders))]
    for path, order in zip(paths, orders):
        assert RepeatableWriter(_Lines()).write(path, iter([("key", order)])) == ["position"]
    (written,) = {path.read_bytes() for path in paths}
    assert written.index(b"captions") < written.index(b"file_name") < written.index(b"image")
    assert tf.train.Example.FromString(written) == tf.train.Example.FromString(orders[0])
