import numpy as np
import pytest

from xmcgan.display.demo_actions import MOST_IMAGES, Actions

CAPTION, OTHER = "a red ball on the beach", "two small trees at night"


@pytest.fixture(scope="module")
def actions(exported):
    return Actions(exported)


def _levels(a, b) -> int:
    return np.max(np.abs(np.asarray(a, int) - np.asarray(b, int)))


def test_images_of_a_row_of_seeds(actions, exported):
    drawn = actions.draw(f"  {CAPTION}\n", 5, 6)
    assert drawn.seeds == [5, 6, 7, 8, 9, 10]
    assert _levels(drawn.images, exported([CAPTION] * 6, drawn.seeds)) <= 1
    assert drawn.grid.shape[0] > 2 * 64 and drawn.grid.shape[1] > 4 * 64


def test_where_it_looked(actions, exported):
    maps = actions.attention(CAPTION, 3)
    assert maps.words[0] == "[CLS]" and maps.words[-1] == "[SEP]"
    assert "".join(maps.words[1:-1]) == CAPTION.replace(" ", "")  # Pieces are words again.
    assert len(maps.images) == len(maps.words) == len(maps.shares)
    assert sum(maps.shares) == pytest.approx(1, abs=1e-5)


def test_ways_begin_and_end_where_they_should(actions, exported):
    first, second = exported([CAPTION, OTHER], [4, 4])
    frames = actions.between_captions(CAPTION, OTHER, 4)
    assert _levels(frames[0], first) <= 1 and _levels(frames[-1], second) <= 1
    other = exported([CAPTION], [9])[0]
    frames = actions.between_seeds(CAPTION, 4, 9)
    assert _levels(frames[0], first) <= 1 and _levels(frames[-1], other) <= 1


def test_notices(actions):
    assert actions.notices(CAPTION) == []
    (message,) = actions.notices("red " * 40)
    assert "reads only the first" in message
    assert "ignored" in message


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda actions: actions.draw("  ", 0, 4), "Write a caption first"),
        (lambda actions: actions.draw(None, 0, 4), "Write a caption first"),
        (lambda actions: actions.draw("a" * 5000, 0, 4), "5,000 characters: write at most 4,000"),
        (lambda actions: actions.draw(CAPTION, -1, 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, None, 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, 1.5, 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, float("inf"), 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, float("nan"), 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, "7", 4), "A seed is a whole number from 0 to"),
        (lambda actions: actions.draw(CAPTION, 0, None), "Choose between 1 and 16 images"),
        (lambda actions: actions.draw(CAPTION, 0, float("inf")), "Choose between 1 and 16 images"),
        (lambda actions: actions.draw(CAPTION, 0, [4]), "Choose between 1 and 16 images"),
        (lambda actions: actions.draw(CAPTION, 0, MOST_IMAGES + 1), "between 1 and 16 images"),
        (lambda actions: actions.between_captions(CAPTION, "", 0), "Write the other caption first"),
        (lambda actions: actions.attention("", 0), "Write a caption first"),
    ],
)
def test_mistakes_get_a_sentence(act, message, actions):
    with pytest.raises(ValueError, match=message):
        act(actions)
