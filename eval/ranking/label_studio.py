"""A ranking as Label Studio imports it: pages (tasks), the page's looks (labeling interface) and a project.

Each question is a project of its own, so that its raters see nothing of the other, and each page is one of its tasks:
a `List` of images and a `Ranker` with a single bucket. The images begin outside the bucket, so that an order counts
only if the rater has made it; a `Ranker` without a bucket saves the order shown as an answer when nothing was moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from eval.ranking.design import SLOTS, Comparison
from eval.ranking.questions import Question

# Names in the interface, which stand in the answers too.
RANKING = "ranking"  # Of the `Ranker`.
BUCKET = "best_to_worst"
TOKEN = "comparison"  # The field of a task that names the page.

PICTURES = "pictures"  # The folder of the images, and the field of a task that lists them.
_LOCAL_FILES = "/data/local-files/?d="

# Large images side by side, and small ones to drag below them: all on one screen.
_STYLE = """
    .asked * { font-size: 20px; font-weight: 500; }
    .picture { display: inline-block; width: min(256px, 22%); margin: 4px 1%; text-align: center; font-weight: 500; }
    .picture i { display: block; aspect-ratio: 1; background-size: cover; }
    .htx-ranker-item { flex-direction: row; align-items: center; gap: 12px; cursor: grab; }
    .htx-ranker-item i { display: block; width: 64px; height: 64px; background-size: cover; }"""
# Label Studio drops data URIs from <img>, and keeps them in a style.
_LARGE = '<div class="picture"><i style="background-image: url({})"></i>{}</div>'
_SMALL = '<i style="background-image: url({})"></i>'


def interface(question: Question) -> str:
    """The labeling interface of a question's project (`interface.xml`; Fig. 7)."""
    caption = ""
    if question.shows_caption:
        caption = '\n  <View className="asked"><Text name="caption" value="$caption"/></View>'
    return f"""<View>
  <Style>{_STYLE}
  </Style>
  <Header value={quoteattr(question.headline)} size="3"/>
  <Header value={quoteattr(question.advice)} size="5"/>{caption}
  <HyperText name="row" value="$row" inline="true"/>
  <List name="{PICTURES}" value="${PICTURES}" title="Drag every picture to the right"/>
  <Ranker name="{RANKING}" toName="{PICTURES}" collapsible="false">
    <Bucket name="{BUCKET}" title="Your ranking: best on top, worst at the bottom"/>
  </Ranker>
</View>
"""


def task(page: Comparison, question: Question, caption: str, sources: Mapping[str, str]) -> dict[str, Any]:
    """A page as one of the tasks of its question's project.

    Args:
      page: what is shown where.
      question: whose page it is.
      caption: shown if the question is about it, and not told otherwise.
      sources: the URL of each model's image.
    """
    places = [(slot, sources[model]) for slot, model in zip(SLOTS, page.models)]
    shown = {"caption": caption} if question.shows_caption else {}
    row = "".join(_LARGE.format(source, slot) for slot, source in places)
    items = [{"id": slot, "html": _SMALL.format(source)} for slot, source in places]
    return {"data": {TOKEN: page.token, **shown, "row": row, PICTURES: items}}


def local_file(name: str) -> str:
    """The URL of a file in the folder of the images, as Label Studio's local storage serves it."""
    return f"{_LOCAL_FILES}{PICTURES}/{name}"


def project(question: Question, raters: int) -> dict[str, Any]:
    """A question's project, as `POST /api/projects/` takes it: the only way to set the overlap in the free edition."""
    return {
        "title": f"Ranking: {question.title.lower()}",
        "label_config": interface(question),
        "expert_instruction": f"{question.headline} {question.advice} Drag all pictures to the right, the best on top.",
        "show_instruction": True,
        "maximum_annotations": raters,
        "show_collab_predictions": False,
        "enable_empty_annotation": False,
    }


def to_json(content: Any) -> str:
    """As `tasks.json` and `project.json` are written."""
    return json.dumps(content, ensure_ascii=False, indent=1)
