import numpy as np
import tensorflow as tf

from xmcgan.losses.adversarial import hinge_discriminator_loss, hinge_generator_loss

REAL = np.array([2.0, 0.5, -1.0, 1.0])
FAKE = np.array([-3.0, -0.5, 2.0, 0.0])


def test_discriminator_loss_is_the_papers():
    # Section 3.2: -E[min(0, -1 + D(x))] - E[min(0, -1 - D(G(z)))].
    expected = -np.mean(np.minimum(0, -1 + REAL)) - np.mean(np.minimum(0, -1 - FAKE))
    loss = hinge_discriminator_loss(tf.constant(REAL), tf.constant(FAKE))
    np.testing.assert_allclose(loss, expected)
    np.testing.assert_allclose(loss, (0 + 0.5 + 2 + 0) / 4 + (0 + 0.5 + 3 + 1) / 4)


def test_discriminator_loss_leaves_alone_what_is_beyond_the_margin():
    real, fake = tf.constant(REAL), tf.constant(FAKE)
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        loss = hinge_discriminator_loss(real, fake)
    d_real, d_fake = tape.gradient(loss, [real, fake])
    np.testing.assert_allclose(d_real, [0, -0.25, -0.25, 0])
    np.testing.assert_allclose(d_fake, [0, 0.25, 0.25, 0.25])


def test_generator_loss():
    np.testing.assert_allclose(hinge_generator_loss(tf.constant(FAKE)), -np.mean(FAKE))
