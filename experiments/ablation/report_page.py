"""Writes a report: its page, and the files that the page refers to."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterator

from matplotlib.figure import Figure

from experiments.ablation import report_curves, report_tables
from experiments.ablation.claims import CLAIMS, Verdict, judge
from experiments.ablation.finished_runs import Results, Run
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import find
from experiments.paper_figures import layout, sheets
from xmcgan import config_json
from xmcgan.files import write_text
from xmcgan.text_to_image import TextToImage

_IMAGES_DPI = 100  # Low, as there are many small images.


def write(results: Results, output: str, data_dir: str = "", num_captions: int = 0, note: str = "") -> list[str]:
    """Writes all files of a report.

    Args:
      results: the results to report.
      output: folder to write into.
      data_dir: folder of all records; needed for images.
      num_captions: number of validation captions for which to show each row's images; 0 for no images.
      note: text to add to the page, in Markdown.

    Returns:
      The paths of the files.
    """
    os.makedirs(output, exist_ok=True)
    verdicts = [judge(claim, results) for claim in CLAIMS]
    pages = {
        "README.md": page(results, verdicts, with_images=num_captions > 0, note=note),
        "tables.tex": tables_tex(results),
        "results.json": json.dumps(numbers(results), indent=1) + "\n",
        "config.json": config_json.to_json(results.base()),
    }
    files = [_write(os.path.join(output, name), content) for name, content in pages.items()]
    files += layout.save(report_curves.curves(results), os.path.join(output, "curves"))
    if TABLES["fig5"] in results.tables():
        files += layout.save(report_curves.fig5(TABLES["fig5"], results), os.path.join(output, "fig5"))
    if num_captions:
        files += layout.save(drawn_images(results, data_dir, num_captions), os.path.join(output, "pictures"))
    return files


def page(results: Results, verdicts: list[Verdict], with_images: bool = False, note: str = "") -> str:
    """Returns the page of the report, in Markdown."""
    return "\n\n".join(_sections(results, verdicts, with_images, note)) + "\n"


def drawn_images(results: Results, data_dir: str, num_captions: int) -> Figure:
    """Draws the images that the first seed of every row generates for the same captions."""
    models: dict[str, TextToImage] = {}
    drawn_by = set()
    for name, (run, *_) in results.runs.items():
        if run.folder not in drawn_by:  # Rows of the same experiment are drawn once, under the first one's name.
            table, row = find(name)
            models[f"{row.title} ({table.short_place})"] = TextToImage.load(run.folder, data_dir)
            drawn_by.add(run.folder)
    drawn = sheets.models_sheet(models, results.dataset, data_dir, num_captions, seed=0)
    return layout.sheet(drawn.rows, drawn.titles, _IMAGES_DPI)


def tables_tex(results: Results) -> str:
    """Returns all tables in LaTeX."""
    return "\n\n".join(
        f"% {table.title}: {table.place}\n{report_tables.latex(table, results)}" for table in results.tables()
    )


def numbers(results: Results) -> dict:
    """Returns every number of every run, by row and seed."""
    return {
        name: {
            run.config.training.seed: {
                "scores": run.scores,
                "evaluations": [{"pictures": images, **scores} for images, scores in run.evaluations],
            }
            for run in runs
        }
        for name, runs in results.runs.items()
    }


def _sections(results: Results, verdicts: list[Verdict], with_images: bool, note: str) -> Iterator[str]:
    yield f"# The paper's ablations on {results.dataset}"
    yield (
        f"{len(results.distinct())} runs with {_seeds(results)}; each has drawn "
        f"{results.images:,} training images and was evaluated after its last step by the same captions. Cells: "
        "mean ± deviation over the seeds, the best of a column bold; in brackets the paper's number."
        f"{_caveats(results)}"
    )
    if note:
        yield note
    if results.unfinished:
        yield f"Not done yet, and left out: {len(results.unfinished)} of the runs begun."
    if results.real:
        real = ", ".join(
            f"{results.names[metric]} {report_tables.number(value)}" for metric, value in results.real.items()
        )
        yield f"Real images of the same captions score {real}."
    yield "## What the paper says of them"
    yield report_tables.verdicts_markdown(verdicts)
    yield (
        "A comparison holds, or is the other way round, where the difference of the means is more than noise explains: "
        "beyond the margin of a two-sided t test at 95 %, with the deviation over seeds that all rows have in common "
        "(distances by their logarithm). Where there is no difference in truth, one comparison in twenty finds one all "
        "the same. The comparisons are at the end."
    )
    for table in results.tables():
        yield f"## {table.title} ({table.place})"
        yield report_tables.markdown(table, results)
        if table.name == "fig5":
            yield "![Distance and contrastive accuracy over the images seen, for each head](fig5.png)"
    if with_images:
        yield "## Images"
        yield "The first captions of a random list, drawn by the first seed of every row; nothing is selected."
        yield "![Captions, the original images, and what each row drew](pictures.png)"
    yield "## Training curves"
    yield "![A panel for each table: the distance to the real images over the images seen](curves.png)"
    yield "## Every comparison"
    yield "Differences and margins are in points; of distances, how many times the worse row's is the better row's."
    for verdict in verdicts:
        if any(difference is not None for difference in verdict.differences.values()):
            yield f"**{verdict.claim.text}**"
            yield report_tables.comparisons_markdown(verdict, results)
    yield "## To repeat a row"
    yield _commands(results)


def _seeds(results: Results) -> str:
    """Returns the seeds that most rows have, such as 'seeds 0, 1', and then the rows that have others."""
    distinct: dict[str, tuple[str, list[Run]]] = {}
    for name, runs in results.runs.items():
        distinct.setdefault(runs[0].folder, (name, runs))  # Rows of the same experiment are named once.
    rows = collections.defaultdict(list)
    for name, runs in distinct.values():
        rows[", ".join(str(run.config.training.seed) for run in runs)].append(f"`{name}`")
    most, *others = sorted(rows, key=lambda seeds: -len(rows[seeds]))
    parts = [f"seed{'s' * (',' in most)} {most}", *(f"{', '.join(rows[seeds])} with {seeds}" for seeds in others)]
    return "; ".join(parts)


def _caveats(results: Results) -> str:
    """Returns what a reader must know to compare the numbers with the paper's."""
    text = " The paper's are of its best checkpoint by FID, not of the last"
    if any(table.dataset != results.dataset for table in results.tables()):
        text += ", and of photographs at 256 px: their size cannot be compared with ours, only the order of the rows"
    if results.dataset == "scenes":
        text += (
            ". The evaluator is the scene recogniser. What the paper has VGG-19 for is the image encoder of scenes: a "
            "recogniser of the same form from another seed, trained on other scenes"
        )
    return f"{text}."


def _commands(results: Results) -> str:
    name, runs = next(iter(results.runs.items()))
    options = [f"--dataset={results.dataset}", f"--num_pictures={results.images}", f"--seeds={len(runs)}"]
    options += [f"--set={field}={value}" for field, value in results.settings.items()]
    lines = ["```", f"python -m experiments.run --row={name} {' '.join(options)}", "```", ""]
    lines.append("[config.json](config.json) is the base of the ablations; each row has its own of these fields:")
    lines.append("")
    for table in results.tables():
        for row in table.rows:
            fields = ", ".join(f"`{field}={value}`" for field, value in row.changes.items())
            lines.append(f"- `{table.name}/{row.name}`: {fields}")
    return "\n".join(lines)


def _write(path: str, content: str) -> str:
    write_text(path, content)
    return path
