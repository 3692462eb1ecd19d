"""Names, captions and messages of strangers as plain text: on a terminal, in Markdown, LaTeX and spreadsheets.

HTML is escaped by Jinja and by `html.escape`.
"""

from __future__ import annotations

import re

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What Markdown takes for a mark within a line, as HTML as well. Underscores within words mark nothing.
_MARKS = re.compile(r"[\\`*\[\]~|<>&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "$": r"\$",
    "#": r"\#",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
}


def terminal(text: str, keep: str = "") -> str:
    r"""Replaces characters that a terminal obeys, or that no encoding can hold, by escapes such as `\x1b`.

    Args:
      text: any text.
      keep: characters to leave as they are, such as "\n" in a table.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def excerpt(text: str, longest: int = 200) -> str:
    """Returns text from a file for the middle of an error: in one line, and without its middle if it is longer."""
    half = longest // 2
    return terminal(text if len(text) <= longest else f"{text[:half]} ... {text[-half:]}")


def markdown(text: str) -> str:
    """Escapes text for a cell or the middle of a line of Markdown."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", terminal(text))


def markdown_code(text: str) -> str:
    """Returns text as code for a cell or the middle of a line of Markdown."""
    plain = terminal(text)
    return f"<code>{markdown(text)}</code>" if "`" in plain or "|" in plain else f"`{plain}`"


def latex(text: str) -> str:
    """Escapes text for LaTeX."""
    return "".join(_LATEX.get(character, character) for character in terminal(text))


def chart(text: str) -> str:
    """Escapes text for Matplotlib, which takes what is between two dollar signs for a formula."""
    return terminal(text).replace("$", r"\$")


def spreadsheet(cell: object) -> object:
    """Puts an apostrophe before text that a spreadsheet would take for a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
