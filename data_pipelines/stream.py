"""The stream of training examples: which record, caption and flip each of its positions has.

Everything is a function of the seed and the position, so a stream can start anywhere.
"""

from __future__ import annotations

import tensorflow as tf

# Rounds of the cipher that permutes an epoch. With TensorFlow's default of 4, the orders of successive epochs of
# COCO-14 have a correlation of 0.3. With 8 or more the correlation is gone.
_CIPHER_ROUNDS = 24


def record_numbers(positions: tf.Tensor, size: int, seed: int) -> tf.Tensor:
    """Returns the record at each position; every epoch of `size` positions is a new permutation of all records.

    Args:
      positions: [positions] int64.
      size: number of records.
      seed: seed of all permutations.

    Returns:
      [positions] int64 in [0, size).
    """
    epochs = positions // size
    keys = tf.stack([tf.zeros_like(epochs), tf.zeros_like(epochs) + seed, epochs], axis=1)  # [positions, 3]
    # This is the op behind tf.random.experimental.index_shuffle, a function that allows neither one key per row nor a
    # choice of rounds.
    last = tf.constant(size - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(index=positions % size, seed=keys, max_index=last, rounds=_CIPHER_ROUNDS)


def random_numbers(seed: int, first_position: tf.Tensor, num_positions: int) -> tf.Tensor:
    """Returns four random numbers for each of consecutive positions, determined by (seed, position) alone.

    Args:
      seed: the seed.
      first_position: scalar, the first position.
      num_positions: number of positions.

    Returns:
      [num_positions, 4] int64 in [0, 2^32).
    """
    # Philox turns each value of a counter into four numbers. The op behind tf.random.stateless_uniform counts up from
    # the given value, so the counter is the position.
    drawn = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[4 * num_positions],
        key=tf.constant([seed], tf.uint64),
        counter=tf.stack([tf.cast(first_position, tf.uint64), tf.constant(0, tf.uint64)]),
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.uint32,
    )
    return tf.cast(tf.reshape(drawn, [num_positions, 4]), tf.int64)


def is_flipped(drawn: tf.Tensor) -> tf.Tensor:
    """Tells from the random numbers of positions, [..., 4], whether their images are mirrored, [...] bool."""
    return drawn[..., 0] % 2 == 1


def caption_number(drawn: tf.Tensor, num_captions: tf.Tensor) -> tf.Tensor:
    """Returns which captions of their images positions have, [...] int64; `drawn` is [..., 4]."""
    return drawn[..., 1] % tf.cast(num_captions, tf.int64)
