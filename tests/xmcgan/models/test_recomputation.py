import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context  # The only way to see what the graph optimizers made.

from xmcgan.models.recomputation import recompute

ROWS, DIM = 6, 3


class _Function:
    """A function with a variable, a frozen variable and all kinds of arguments; counts its calls."""

    def __init__(self):
        self.variable = tf.Variable(np.random.default_rng(0).normal(size=[DIM, DIM]))
        self.frozen = tf.Variable(np.random.default_rng(1).normal(size=[DIM]), trainable=False)
        self.calls = 0

    def __call__(self, rows, number, *, shared):
        self.calls += 1
        weight, nothing = shared
        assert nothing is None
        h = tf.tanh(rows @ self.variable) * self.frozen + tf.cast(number, rows.dtype)[:, None]
        return {"features": h @ weight, "mean": tf.reduce_mean(h, axis=0, keepdims=True), "nothing": None}


def _arguments():
    rng = np.random.default_rng(2)
    return tf.constant(rng.normal(size=[ROWS, DIM])), tf.range(ROWS), tf.constant(rng.normal(size=[DIM, 2]))


def _loss(outputs):
    """Of the whole batch: each row's gradient depends on all others."""
    features = outputs["features"] - tf.reduce_mean(outputs["features"], axis=0)
    return tf.reduce_sum(features**4) + tf.reduce_sum(tf.reduce_mean(outputs["mean"], axis=0) ** 3)


def _gradients(call, mode):
    function = _Function()
    rows, number, weight = _arguments()

    def run():
        with tf.GradientTape() as tape:
            tape.watch([rows, weight])
            outputs = call(function, rows, number, [weight, None])
            loss = _loss(outputs)
        return outputs["features"], *tape.gradient(loss, [rows, weight, function.variable])

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "xla")
    return [np.asarray(x) for x in run()]


@pytest.mark.parametrize("mode", ["graph", "eager", "xla"])
@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_equals_the_call_itself(parts, mode):
    expected = _gradients(lambda f, rows, number, shared: f(rows, number, shared=shared), "eager")
    found = _gradients(lambda f, rows, number, shared: recompute(f, parts=parts)(rows, number, shared=shared), mode)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_structures_come_back_as_they_are():
    rows, number, weight = _arguments()
    outputs = recompute(_Function(), parts=3)(rows, number, shared=[weight, None])
    assert outputs["nothing"] is None
    assert outputs["features"].shape == (ROWS, 2)
    assert outputs["mean"].shape == (3, DIM)  # One row of each part.


@pytest.mark.parametrize("parts", [1, 2])
def test_frozen_parameters_have_no_gradient(parts):
    function = _Function()
    rows, number, weight = _arguments()
    with tf.GradientTape() as tape:
        tape.watch([rows, weight])
        loss = _loss(recompute(function, parts=parts, frozen=True)(rows, number, shared=[weight, None]))
    d_rows, *others = tape.gradient(loss, [rows, weight, function.variable])
    assert others == [None, None]
    expected = _gradients(lambda f, rows, number, shared: f(rows, number, shared=shared), "eager")[1]
    np.testing.assert_allclose(d_rows, expected, rtol=1e-12)


@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_not_an_argument_is_a_constant(parts):
    x, y = tf.ones([2, 1]), tf.ones([1, 1])
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        product = recompute(lambda x: x * y, parts=parts)(x)
    d_x, d_y = tape.gradient(product, [x, y])
    np.testing.assert_array_equal(d_x, [[1.0], [1.0]])
    assert d_y is None


def _softmax_operations():
    """How many are in the graph of value and gradient, after TensorFlow's own optimizations."""
    rows, _, weight = _arguments()

    @tf.function
    def run(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = tf.reduce_sum(recompute(lambda x, w: tf.nn.softmax(x @ w))(rows, w=weight) ** 2)
        return tape.gradient(loss, rows)

    context.enable_graph_collection()
    try:
        run(rows)
        collected = context.export_run_metadata()
    finally:
        context.disable_graph_collection()
    graphs = [graph for function in collected.function_graphs for graph in function.partition_graphs]
    return sum(node.op == "Softmax" for graph in graphs for node in graph.node)


def test_what_is_computed_again_is_not_merged_with_what_was():
    # Once forward and once again for the gradient; a graph optimizer that saw them as the same would keep the first.
    assert _softmax_operations() == 2
