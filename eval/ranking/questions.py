"""What raters are asked, each question of its own accord (paper section 5.2 and Fig. 7)."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """One of the two rankings that are asked for."""

    name: str  # Of its folder, and in the key.
    title: str  # As in Fig. 3.
    headline: str  # On the page.
    advice: str  # Below it.
    shows_caption: bool


QUESTIONS = (
    Question(
        name="realism",
        title="Realism",
        headline="Which picture looks most like a real photograph?",
        advice="Judge clear objects, natural shapes and a scene that holds together; what it shows does not matter.",
        shows_caption=False,
    ),
    Question(
        name="alignment",
        title="Text alignment",
        headline="Which picture fits the caption best?",
        advice="Judge whether all that the caption names is there, and as it says; beauty does not matter.",
        shows_caption=True,
    ),
)
