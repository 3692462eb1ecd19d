"""The sheet: a report and some samples as one HTML file, to be looked at."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from data_pipelines.inspection import cards, charts, page, tables
from data_pipelines.inspection.report import Report
from data_pipelines.inspection.samples import Sample
from data_pipelines.inspection.statistics import SplitStatistics
from data_pipelines.inspection.tokens import TokenCounter

# Object classes whose bars are shown.
_CLASSES = 16


def render(report: Report, samples: Sequence[Sample], token_counter: TokenCounter | None = None, hint: str = "") -> str:
    """Renders the sheet.

    Args:
      report: of the dataset.
      samples: records to show.
      token_counter: tells what of their captions is cut off; None if it cannot be told.
      hint: a line on what is missing from the report; may be empty.

    Returns:
      A whole HTML document that needs no other file and no network. All text of the records is escaped.
    """
    sections = {
        "Beside the paper": _comparisons(report),
        "In the records": f'<div class="tables">{"".join(map(_table, report.tables))}</div>',
        "Distributions": _distributions(report),
        "Left out and mended": _notes(report),
    }
    if samples:
        shown = "".join(cards.render(sample, report.text_length, token_counter) for sample in samples)
        sections["Samples"] = f'{_legend(report, samples)}<div class="cards">{shown}</div>'
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in sections)
    header = (
        f"<header><h1>{html.escape(report.dataset)}</h1><p><code>{html.escape(report.folder)}</code></p>"
        f"{_paragraph(hint)}{_tiles(report)}<nav>{links}</nav></header>"
    )
    body = [f'<section id="{_anchor(title)}"><h2>{title}</h2>{text}</section>' for title, text in sections.items()]
    return page.page(f"What is in {report.dataset}", "\n".join([header, *body]))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _comparisons(report: Report) -> str:
    table = _table(tables.of_comparisons(report.comparisons)) if report.comparisons else ""
    return table + _paragraph(report.silence)


def _paragraph(text: str) -> str:
    return f'<p class="soft">{html.escape(text)}</p>' if text else ""


def _tiles(report: Report) -> str:
    """The numbers that one looks for first, large."""
    tiles = []
    for split, summary in report.summaries.items():
        tiles.append((f"{summary['pictures']:,}", f"{split} pictures"))
        tiles.append((f"{summary['captions']:,}", "captions of them"))
        if summary["cut"]:
            tiles.append((f"{summary['cut']['share']:.1%}", f"cut at {report.text_length} tokens"))
    if report.comparisons:
        agreeing = sum(comparison.agrees for comparison in report.comparisons)
        tiles.append((f"{agreeing} of {len(report.comparisons)}", "numbers agree with Table 1"))
    content = "".join(
        f'<div class="tile"><b>{value}</b><span>{html.escape(name)}</span></div>' for value, name in tiles
    )
    return f'<div class="tiles">{content}</div>'


def _table(table: tables.Table) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.header)
    judged = table.header[-1] == tables.VERDICT
    rows = []
    for row in table.rows:
        cells = [f"<td>{html.escape(cell)}</td>" for cell in row]
        if judged:
            verdict, _, why = row[-1].partition(": ")
            cells[-1] = f'<td class="{verdict}"><b>{verdict}</b> {html.escape(why)}</td>'
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _distributions(report: Report) -> str:
    groups = ("".join(_charts(split, each, report.text_length)) for split, each in report.splits.items())
    return "".join(f'<div class="charts">{group}</div>' for group in groups)


def _charts(split: str, statistics: SplitStatistics, text_length: int) -> Iterator[str]:
    if statistics.tokens:
        yield charts.histogram(statistics.tokens, f"{split}: tokens a caption", cut=text_length)
    yield charts.histogram(statistics.words, f"{split}: words a caption")
    yield charts.histogram(statistics.hectobytes, f"{split}: kB a picture", per_unit=10)
    if statistics.deciseconds:
        yield charts.histogram(statistics.deciseconds, f"{split}: seconds a narrative", per_unit=10)
    if statistics.num_traced:
        yield charts.histogram(statistics.points, f"{split}: points of a narrative's trace")
    if statistics.labels:
        most = dict(statistics.labels.most_common(_CLASSES))
        yield charts.bars(most, f"{split}: pictures of the most frequent of {len(statistics.labels)} classes")


def _legend(report: Report, samples: Sequence[Sample]) -> str:
    """What the marks on the samples mean."""
    lines = []
    if any(summary["cut"] for summary in report.summaries.values()):
        lines.append(f"Struck out: what lies beyond {report.text_length} tokens, which the models do not see.")
    if any(len(narrative.points) for sample in samples for narrative in sample.record.narratives):
        lines.append(
            "Words and traces are coloured by their time, from blue to red: point at a word to see where the mouse "
            "was meanwhile, or at a trace to see the words."
        )
    return _paragraph(" ".join(lines))


def _notes(report: Report) -> str:
    if not report.notes:
        return _paragraph("Nothing was left out or mended.")
    header = ["split", "noted", "what", "reason", "number", "first ones"]
    rows = [
        [each.split, each.action, each.what, each.reason, f"{each.count:,}", ", ".join(each.names)]
        for each in report.notes
    ]
    return _table(tables.Table(header, rows))
