"""Makes what Label Studio imports: the pages of a ranking (tasks), their layout (labeling interface) and a project.

Each question is a separate project, so that its raters do not see the other question. Each page is a task: a `List` of
images and a `Ranker` with a single bucket. The images start outside the bucket, so an order counts only if the rater
has made it. A `Ranker` without a bucket would save the initial order as an answer even if nothing was moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from eval.ranking.design import QUESTIONS, SLOTS, Comparison, Question

# Names in the interface, which also appear in the answers.
RANKING = "ranking"  # Name of the `Ranker`.
BUCKET = "best_to_worst"
TOKEN = "comparison"  # The field of a task that identifies the page.

IMAGES = "pictures"  # The folder of the images, and the field of a task that lists them.
_LOCAL_FILES = "/data/local-files/?d="

# Large images side by side, and below them small ones to drag, all on one screen.
_STYLE = """
    .asked * { font-size: 20px; font-weight: 500; }
    .image { display: inline-block; width: min(256px, 22%); margin: 4px 1%; text-align: center; font-weight: 500; }
    .image i { display: block; aspect-ratio: 1; background-size: cover; }
    .htx-ranker-item { flex-direction: row; align-items: center; gap: 12px; cursor: grab; }
    .htx-ranker-item i { display: block; width: 64px; height: 64px; background-size: cover; }"""
# Label Studio removes data URIs from <img>, but not from a style.
_LARGE = '<div class="image"><i style="background-image: url({})"></i>{}</div>'
_SMALL = '<i style="background-image: url({})"></i>'


def interface(question: Question) -> str:
    """Returns the labeling interface of a question's project (`interface.xml`; Fig. 7)."""
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
    """Turns a page into a task of its question's project.

    Args:
      page: the page.
      question: the question that the page belongs to.
      caption: the caption of the images; part of the task only if the question shows it.
      sources: the URL of each model's image.
    """
    places = [(slot, sources[model]) for slot, model in zip(SLOTS, page.models)]
    shown = {"caption": caption} if question.shows_caption else {}
    row = "".join(_LARGE.format(source, slot) for slot, source in places)
    items = [{"id": slot, "html": _SMALL.format(source)} for slot, source in places]
    return {"data": {TOKEN: page.token, **shown, "row": row, IMAGES: items}}


def local_file(name: str) -> str:
    """Returns the URL of an image file, as Label Studio's local storage serves it."""
    return f"{_LOCAL_FILES}{IMAGES}/{name}"


def project(question: Question, raters: int) -> dict[str, Any]:
    """Returns a question's project for `POST /api/projects/`, the only way to set the overlap in the free edition."""
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
    """Formats the content of `tasks.json` and `project.json`."""
    return json.dumps(content, ensure_ascii=False, indent=1)


# README.txt of the importable folder: the steps from the folder to answers.
_SERVED = """\
2. Start the server so that it may show the images of this folder (an absolute path):

     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/path/to/{folder} \\
     label-studio start
"""
_EMBEDDED = """\
2. Start the server: label-studio start. The tasks contain their images. To upload files of more than 250 MB, set
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
Two questions are asked independently, as two Label Studio projects (tested with version 1.23):
{questions}
Each page of a project should be answered by {raters} different people.

1. pip install label-studio (in an environment of its own)

{start}
3. Create both projects. Run this program in this folder, with the personal access token of your account page:

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
   - The free edition has no setting for the number of answers per page. Set "maximum_annotations" to {raters} with
     PATCH /api/projects/<id>/; the program above does this too.

4. Invite the raters (Organization > Add People). Each rater signs in with a separate account, opens a project and
   presses Label All Tasks. Raters should not use the list of tasks, because the free edition shows the answers of
   others there. A page counts only if all its images have been dragged to the right-hand column.

5. Export each project as JSON (JSON-MIN also works, but omits skipped pages), and analyze the answers:

     python -m eval.analyse_ranking --ranking=FOLDER --answers=realism.json --answers=alignment.json

Keep key.json, which is one folder up, from the raters: it says which model each image is from.
"""


def readme(num_pages: int, num_models: int, raters: int, embed: bool) -> str:
    """Returns the text of README.txt in an importable folder.

    Args:
      num_pages: number of pages of each question.
      num_models: number of images on a page.
      raters: number of answers to each page.
      embed: whether the images are embedded in the tasks.
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
