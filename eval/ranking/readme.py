"""The steps from an exported folder to answers, written beside what they are about."""

from __future__ import annotations

from eval.ranking.questions import QUESTIONS

_SERVED = """\
2. Start the server so that it may show the pictures of this folder (an absolute path):

     LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
     LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/path/to/{folder} \\
     label-studio start
"""
_EMBEDDED = """\
2. Start the server: label-studio start. The tasks hold their pictures. Files of more than 250 MB are taken only with
   DATA_UPLOAD_MAX_MEMORY_SIZE=<bytes> in its environment.
"""
_STORAGE = """
         client.import_storage.local.create(project=project.id, path="/path/to/{folder}/pictures")"""
_STORAGE_BY_HAND = """
   - Settings > Cloud Storage > Add Source Storage > Local Files, with the absolute path of pictures/ (do not sync it:
     it only allows the pictures to be shown)"""
_TEXT = """\
Ranking {num_models} pictures of each of {num_pages} captions
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
   page counts only when all its pictures have been dragged to the right-hand column.

5. Export each project as JSON (JSON-MIN does too, but is silent on skipped pages), and count:

     python -m eval.analyse_ranking --ranking=FOLDER --answers=realism.json --answers=alignment.json

Keep key.json, one folder up, away from the raters: it tells which picture is whose.
"""


def readme(num_pages: int, num_models: int, raters: int, embed: bool) -> str:
    """README.txt of an importable folder.

    Args:
      num_pages: of each question.
      num_models: images on a page.
      raters: answers a page.
      embed: whether the tasks hold the images.
    """
    title_length = len(f"Ranking {num_models} pictures of each of {num_pages} captions")
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
