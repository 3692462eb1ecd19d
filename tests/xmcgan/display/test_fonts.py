import numpy as np
import pytest

from xmcgan.display import fonts


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("A red circle, 3 m", "Aileron"),
        ("un café", "DejaVu Sans"),
        ("красный шар", "DejaVu Sans"),
        ("κόκκινη μπάλα", "DejaVu Sans"),
    ],
)
def test_a_font_that_has_the_letters(text, family):
    font = fonts.font_for(text, 15)
    assert font.getname()[0] == family
    drawn = {letter: np.asarray(font.getmask(letter)).tobytes() for letter in set(text) - {" "}}
    assert fonts._WITHOUT_GLYPH not in text and len(set(drawn.values())) == len(drawn), "no boxes"


def test_letters_that_no_font_has_are_said(caplog):
    fonts.font_for("红球 " * 100, 15)
    fonts.font_for("另一个", 15)
    assert caplog.text.count("boxes for") == 1
    assert "boxes for 2 letters that no font here has, such as 球 红" in caplog.text
