"""Tests of the peak memory of small graphs, against counts by hand of 100 x 100 float32 matrices, 40 kB each."""

from __future__ import annotations

import pytest
import tensorflow as tf

from experiments.footprint import liveness
from experiments.footprint.liveness import Buffer, Step

_MATRIX = 40_000
_SPEC = tf.TensorSpec([100, 100])


def _peak(function, *specs: tf.TensorSpec) -> liveness.Peak:
    return liveness.peak_of_function(tf.function(function).get_concrete_function(*(specs or [_SPEC])))


def _matrices(peak: liveness.Peak) -> float:
    """Returns the peak in matrices; scalars and indices are negligible."""
    return round(peak.bytes / _MATRIX, 1)


def _chain(x, length):
    for _ in range(length):
        x = tf.matmul(x, x)
    return x


def test_a_tensor_lives_to_its_last_consumer():
    assert _matrices(_peak(lambda x: _chain(x, 1))) == 1  # The argument belongs to the caller.
    assert _matrices(_peak(lambda x: _chain(x, 9))) == 2

    def kept(x):
        first = tf.matmul(x, x)
        return tf.matmul(_chain(first, 5), first)

    peak = _peak(kept)
    assert _matrices(peak) == 3
    assert [size for _, size in peak.live[:3]] == [_MATRIX] * 3 and peak.live[0][0].startswith("MatMul")


def test_reshapes_and_rows_share_memory():
    def shares(x):
        y = tf.reshape(tf.identity(tf.matmul(x, x)), [50, 200])
        return tf.exp(tf.nn.relu(tf.split(y, 2, axis=0)[0]))

    assert _matrices(_peak(shares)) == 1.5


def test_what_nothing_asks_for_takes_no_memory():
    def idle(x):
        y = tf.matmul(x, x)
        _ = [_chain(y, 3) for _ in range(5)]
        return y

    assert _matrices(_peak(idle)) == 1


def test_activations_wait_for_the_gradient():
    def gradient(x, recompute=False):
        layer = lambda y: tf.tanh(tf.tanh(tf.matmul(y, x)))  # noqa: E731
        layer = tf.recompute_grad(layer) if recompute else layer
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(6):
                y = layer(y)
        return tape.gradient(y, x)

    plain, recomputed = _matrices(_peak(gradient)), _matrices(_peak(lambda x: gradient(x, recompute=True)))
    assert 12 <= plain <= 20  # Two for each layer, and sums of gradients.
    assert recomputed <= plain - 4


def test_variables_are_the_callers():
    variable = tf.Variable(tf.zeros([100, 100]))
    peak = _peak(lambda x: variable.assign_add(tf.matmul(variable, x)))
    assert _matrices(peak) == 1


def test_called_functions_are_walked_in_place():
    inner = tf.function(lambda y: _chain(y, 4))
    assert _matrices(_peak(lambda x: inner(tf.matmul(x, x)))) == 2


def test_a_loop_counts_with_its_peak_on_top_of_what_is_alive():
    def loop(x):
        kept = tf.matmul(x, x)
        y = tf.matmul(x, x)
        for _ in tf.range(7):
            y = _chain(y, 4)  # Two inside, in addition to the result of the last iteration.
        return y + kept

    # `kept`, the loop's argument and result, and two inside.
    assert _matrices(_peak(loop)) == 5
    # One more than unrolled, because a loop keeps its argument to the end of an iteration.
    assert _matrices(_peak(lambda x: _chain(tf.matmul(x, x), 28) + tf.matmul(x, x))) <= 4


def test_a_loop_stores_activations_for_its_gradient():
    def gradient(x, iterations):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in tf.range(iterations):
                y = tf.tanh(tf.matmul(y, x))
        return tape.gradient(y, x)

    few, many = (_peak(lambda x, iterations=n: gradient(x, iterations)).bytes for n in (10, 30))
    # For each iteration, the tanh and the operand of the product.
    assert many - few == pytest.approx(2 * 20 * _MATRIX, rel=0.03)


def test_a_map_keeps_its_results():
    def mapped(x):
        return tf.map_fn(lambda row: tf.tensordot(row, row, 0), x)  # [100, 100, 100]

    assert 200 <= _matrices(_peak(mapped)) < 204  # Once as a list, and once stacked.


def test_the_larger_branch_counts():
    def branch(x):
        return tf.cond(x[0, 0] > 0, lambda: tf.matmul(tf.matmul(x, x), tf.matmul(x, x)), lambda: x)

    assert _matrices(_peak(branch)) == 3


def test_one_part_of_the_steps():
    first, second, third = (Buffer(name, size) for name, size in (("first", 5), ("second", 7), ("third", 1)))
    steps = [
        Step("a", "MatMul", [], [first], 0),
        Step("b", "MatMul", [first], [second], 2),
        Step("c", "MatMul", [second], [third], 0),
        Step("d", "MatMul", [first], [], 0),
    ]
    assert liveness.peak(steps) == (14, "b", [("second", 7), ("first", 5)])
    assert liveness.peak(steps, within=range(2, 4))[:2] == (13, "c")
    assert liveness.peak(steps, outputs=[second], within=range(3, 4))[:2] == (12, "d")
