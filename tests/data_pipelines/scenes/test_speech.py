import numpy as np
import pytest

from data_pipelines.scenes import speech
from data_pipelines.scenes.phrases import Phrase, Region

_LEFT, _RIGHT = Region(0.0, 0.0, 0.4, 1.0), Region(0.6, 0.0, 1.0, 1.0)
_PHRASES = [
    Phrase(("In", "this", "image", "there", "is"), None, ""),
    Phrase(("a", "red", "ball,"), _LEFT, "red"),
    Phrase(("a", "tree."), _RIGHT, ""),
]


@pytest.mark.parametrize("seed", range(5))
def test_words_follow_each_other_in_tenths_of_a_second(seed):
    utterances = speech.utter(_PHRASES, pace=1.0, rng=np.random.default_rng(seed))
    said = " ".join(utterance.text for utterance in utterances)
    assert said == "In this image there is a red ball, a tree."
    times = np.array([(utterance.start, utterance.end) for utterance in utterances])
    np.testing.assert_allclose(times * 10, np.round(times * 10), atol=1e-9)
    assert np.all(times[:, 1] - times[:, 0] >= 0.1 - 1e-9)
    assert np.all(times[1:, 0] >= times[:-1, 1])
    assert max(len(utterance.text.split()) for utterance in utterances) <= 2
    # Each is said where its phrase points, and a comma is a pause of three to five tenths.
    comma = next(i for i, utterance in enumerate(utterances) if utterance.text.endswith(","))
    assert utterances[comma].region == _LEFT and utterances[comma + 1].region == _RIGHT
    assert 0.3 - 1e-9 <= times[comma + 1, 0] - times[comma, 1] <= 0.5 + 1e-9


def test_the_pace_stretches_words():
    def seconds(pace):
        utterances = speech.utter(_PHRASES * 50, pace, np.random.default_rng(0))
        return sum(utterance.end - utterance.start for utterance in utterances)

    assert seconds(2.0) / seconds(1.0) == pytest.approx(2.0, rel=0.05)
