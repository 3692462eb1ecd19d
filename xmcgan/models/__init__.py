"""The networks, in Keras."""

from xmcgan.stack import keep_autograph_off_keras

keep_autograph_off_keras()
