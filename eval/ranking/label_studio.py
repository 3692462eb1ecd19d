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

from eval.ranking.design import QUESTIONS, SLOTS, Comparison, Question

# Names in the interface, which stand in the answers too.
RANKING = "ranking"  # Of the `Ranker`.
BUCKET = "best_to_worst"
TOKEN = "comparison"  # The field of a task that names the page.

IMAGES = "pictures"  # The folder of the images, and the field of a task that lists them.
_LOCAL_FILES = "/data/local-files/?d="

# Large images side by side, and small ones to drag below them: all on one screen.
_STYLE = """
    .asked * { font-size: 20px; font-weight: 500; }
    .image { display: inline-block; width: min(256px, 22%); margin: 4px 1%; text-align: center; font-weight: 500; }
    .image i { display: block; aspect-ratio: 1; background-size: cover; }
    .htx-ranker-item { flex-direction: row; align-items: center; gap: 12px; cursor: grab; }
    .htx-ranker-item i { display: block; width: 64px; height: 64px; background-size: cover; }"""
# Label Studio drops data URIs from <img>, and keeps them in a style.
_LARGE = '<div class="image"><i style="background-image: url({})"></i>{}</div>'
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
  <List name="{IMAGES}" value="${IMAGES}" title="Drag every image to the right"/>
  <Ranker name="{RANKING}" toName="{IMAGES}" collapsible="false">
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
    return {"data": {TOKEN: page.token, **shown, "row": row, IMAGES: items}}


def local_file(name: str) -> str:
    """The URL of a file in the folder of the images, as Label Studio's local storage serves it."""
    return f"{_LOCAL_FILES}{IMAGES}/{name}"


def project(question: Question, raters: int) -> dict[str, Any]:
    """A question's project, as `POST /api/projects/` takes it: the only way to set the overlap in the free edition."""
    return {
        "title": f"Ranking: {question.title.lower()}",
        "label_config": interface(question),
        "expert_instruction": f"{question.headline} {question.advice} Drag all images to the right, the best on top.",
        "show_instruction": True,
        "maximum_annotations": raters,
        "show_collab_predictions": False,
        "enable_empty_annotation": False,
    }


def to_json(content: Any) -> str:
    """As `tasks.json` and `project.json` are written."""
    return json.dumps(content, ensure_ascii=False, indent=1)


# The steps from an exported folder to answers, which are written beside what they are about.
_SERVED = """\
2. Start the server so that it may show the images of this folder (an absolute path):

     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/path/to/{folder} \\
     label-studio start
"""
_EMBEDDED = """\
2. Start the server: label-studio start. The tasks hold their images. Files of more than 250 MB are taken only with
   DATA_UPLOAD_MAX_MEMORY_SIZE=<bytes> in its environment.
"""
_STORAGE = """
         client.import_storage.local.create(project=project.id, path="/path/to/{folder}/pictures")"""
_STORAGE_BY_HAND = """
   - Settings > Cloud Storage > Add Source Storage > Local Files, with the absolute path of pictures/ (do not sync it:
     it only allows the images to be shown)"""
_TEXT = """\
Ranking {num_models} images of each of {num_pages} captions
{line}
Two questions, asked independently, are two projects of Label Studio (tried with 1.23):
{questions}
Every page of a project is to be answered by {raters} different people.

1. pip install label-studio (in an environment of its own)

{start}
3. Make both projects, with the personal access token of your account page, from this folder:

     import json
     from label_studio_sdk import LabelStudio

     client = LabelStudio(base_url="http://localhost:8080", api_key="...")
     for question in ({names}):
         with open(f"{{question}}/project.json", encoding="utf-8") as file:
             project = client.projects.create(**json.load(file)){storage}
         with open(f"{{question}}/tasks.json", encoding="utf-8") as file:
             client.projects.import_tasks(id=project.id, request=json.load(file))

   By hand, for each question:
   - Create Project; Labeling Setup > Custom template > Code: paste interface.xml{storage_by_hand}
   - Import: tasks.json
   - The free edition's pages do not offer the number of answers a page: set "maximum_annotations" to {raters} by
     PATCH /api/projects/<id>/, or by the program above, which does.

4. Invite the raters (Organization > Add People). Each signs in with an account of his own, opens a project and presses
   Label All Tasks; the list of tasks is not for them, for the free edition shows there what others have answered. A
   page counts only when all its images have been dragged to the right-hand column.

5. Export each project as JSON (JSON-MIN does too, but is silent on skipped pages), and count:

     python -m eval.analyse_ranking --ranking=FOLDER --answers=realism.json --answers=alignment.json

Keep key.json, one folder up, away from the raters: it tells which image is whose.
"""


def readme(num_pages: int, num_models: int, raters: int, embed: bool) -> str:
    """README.txt of an importable folder.

    Args:
      num_pages: of each question.
      num_models: images on a page.
      raters: answers a page.
      embed: whether the tasks hold the images.
    """
    title_length = len(f"Ranking {num_models} images of each of {num_pages} captions")
    folder = "label_studio"
    return _TEXT.format(
        num_models=num_models,
        num_pages=num_pages,
        line="=" * title_length,
        raters=raters,
        questions="".join(f"  {question.name}/  {question.headline}\n" for question in QUESTIONS),
        names=", ".join(f'"{question.name}"' for question in QUESTIONS),
        start=(_EMBEDDED if embed else _SERVED).format(folder=folder),
        storage="" if embed else _STORAGE.format(folder=folder),
        storage_by_hand="" if embed else _STORAGE_BY_HAND,
    )
