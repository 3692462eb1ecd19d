import numpy as np

from xmcgan.display.heat_maps import heat_maps, whole_words


def test_pieces_are_summed_up():
    attention = np.arange(4 * 5, dtype=np.float32).reshape(2, 2, 5)
    words, maps = whole_words(["[CLS]", "ba", "##ll", "##s"], attention)
    assert words == ["[CLS]", "balls"]
    np.testing.assert_array_equal(maps[..., 0], attention[..., 0])
    np.testing.assert_array_equal(maps[..., 1], attention[..., 1:4].sum(axis=-1))


def test_a_piece_without_its_word_stands_alone():
    words, maps = whole_words(["##ll", "a"], np.ones([1, 1, 2], np.float32))
    assert words == ["##ll", "a"] and maps.shape == (1, 1, 2)


def test_heat_is_where_the_attention_is():
    image = np.full([64, 64, 3], 100, np.uint8)
    attention = np.zeros([16, 16, 2], np.float32)
    attention[:8, :, 0] = 0.5  # The first word above,
    attention[8:, :, 1] = 0.25  # the second one below, half as strong.
    drawn = heat_maps(image, attention)
    assert drawn.shape == (2, 128, 128, 3) and drawn.dtype == np.uint8
    red = drawn[..., 0].astype(int)
    assert red[0, 10, 64] > red[1, 118, 64] > red[0, 118, 64] == red[1, 10, 64]
    np.testing.assert_array_equal(drawn[0, 118, 64], [35, 35, 35])
    assert np.any(heat_maps(image, np.zeros([16, 16, 1])) > 0)  # No attention at all is no error.
