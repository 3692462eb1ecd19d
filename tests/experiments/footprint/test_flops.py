"""Tests of counted operations, against TensorFlow's own profiler and sums by hand."""

from __future__ import annotations

import pytest
import tensorflow as tf

from experiments.footprint import flops
from tests.support.tiny_networks import build_networks, random_example, tiny_config


def _graph(function, *shapes):
    return tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph


def _profiled(graph):
    """Returns operations by type, as TensorFlow's profiler counts them."""
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    node = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    found = {}
    while True:  # The nodes are a chain; each one's total includes those of the nodes below it.
        below = node.children[0] if node.children else None
        found[node.name] = node.total_float_ops - (below.total_float_ops if below else 0)
        if below is None:
            return found
        node = below


@pytest.mark.parametrize("transposed", [False, True])
def test_products(transposed):
    left = [4, 3] if transposed else [3, 4]
    graph = _graph(lambda a, b: tf.matmul(a, b, transpose_a=transposed), left, [4, 5])
    assert flops.count(graph) == {"MatMul": 2 * 3 * 4 * 5}
    graph = _graph(lambda a, b: tf.matmul(a, b, transpose_a=transposed), [7, *left], [7, 4, 5])
    assert sum(flops.count(graph).values()) == 7 * 2 * 3 * 4 * 5


def test_einsum():
    graph = _graph(lambda a, b: tf.einsum("bik,bjk->bij", a, b), [2, 3, 4], [2, 5, 4])
    assert flops.count(graph) == {"Einsum": 2 * 2 * 3 * 5 * 4}
    assert not flops.count(_graph(lambda a: tf.einsum("bik->bki", a), [2, 3, 4]))


def test_a_convolution_and_its_gradients_cost_the_same():
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, 2, "SAME")
        return tape.gradient(y, [x, kernel])

    once = 2 * (2 * 4 * 4 * 5) * (3 * 3 * 7)  # Values of the output, times kernel values for each of them.
    graph = _graph(gradients, [2, 8, 8, 7], [3, 3, 7, 5])
    # The forward pass is missing because nothing needs the output itself.
    assert flops.count(graph) == {"Conv2DBackpropInput": once, "Conv2DBackpropFilter": once}


def test_calls_loops_and_branches():
    product = tf.function(lambda a: tf.matmul(a, a))
    once = 2 * 3**3

    def three_iterations(a):
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, product(x)), [0, a])[1]

    assert flops.count(_graph(three_iterations, [3, 3])) == {"MatMul": 3 * once}
    assert flops.count(_graph(lambda a: product(product(a)), [3, 3])) == {"MatMul": 2 * once}
    branch = lambda a: tf.cond(a[0, 0] > 0, lambda: product(product(a)), lambda: product(a))  # noqa: E731
    assert flops.count(_graph(branch, [3, 3])) == {"MatMul": 2 * once}


def test_unknown_shapes_and_iterations_are_refused():
    def n_iterations(a, n):
        return tf.while_loop(lambda i, _: i < n, lambda i, x: (i + 1, tf.matmul(x, x)), [0.0, a])[1]

    with pytest.raises(ValueError, match="the iterations of this loop are not known"):
        flops.count(_graph(n_iterations, [3, 3], []))
    with pytest.raises(ValueError, match=r"MatMul.*is not known before the graph runs"):
        flops.count(_graph(lambda a, b: tf.matmul(a, b), [None, 3], [3, 5]))


def test_the_networks_as_tensorflows_profiler_counts_them():
    config = tiny_config()
    example = random_example(config, 2)
    generator, discriminator = build_networks(config, example)

    @tf.function(autograph=False)
    def both():
        image = generator(example.z, example.text).image
        return discriminator(image, example.text.sentence, training=False).logits

    both()
    graph = both.get_concrete_function().graph
    counted = flops.count(graph)
    profiled = _profiled(graph)
    assert profiled["Conv2D"] > 1e6 and profiled["MatMul"] > 1e5
    for name in ("Conv2D", "Conv2DBackpropInput", "MatMul"):
        assert counted[name] == pytest.approx(profiled.get(name, 0), rel=0.01), name
