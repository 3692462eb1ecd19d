import csv
import io
import re

import pytest
import tabulate

from xmcgan import escapes

HOSTILE = "a\x1b[2J\r\n\u202eb\ud800 <img src=x onerror=alert(1)> [x](javascript:y) | `c` *d* _e_ ~f~ \\g & h"


def test_a_terminal_gets_nothing_that_it_obeys():
    shown = escapes.terminal(HOSTILE)
    assert shown.isprintable() and shown.startswith(r"a\x1b[2J\r\n\u202eb\ud800 ")
    shown.encode()
    assert escapes.terminal("Käfer 猫 😀 ↓") == "Käfer 猫 😀 ↓"
    assert escapes.terminal("a\nb\tc\x07", keep="\n\t") == "a\nb\tc\\x07"


def test_an_excerpt_is_one_short_line():
    assert escapes.excerpt("a\nb") == r"a\nb"
    assert escapes.excerpt("x" * 200) == "x" * 200
    assert escapes.excerpt("a" * 5000 + "b" * 5000, 10) == "aaaaa ... bbbbb"


def test_markdown_shows_the_text_and_marks_nothing():
    shown = escapes.markdown(HOSTILE)
    for mark in "<>[]|`*~\\\n":
        assert mark not in shown
    assert re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), shown) == escapes.terminal(HOSTILE)
    assert escapes.markdown("R-precision/ln_openimages") == "R-precision/ln_openimages"
    assert escapes.markdown("_a_") == "&#95;a&#95;"
    assert escapes.markdown_code("a_b") == "`a_b`"
    assert escapes.markdown_code("a`|b") == "<code>a&#96;&#124;b</code>"


def test_latex_obeys_nothing():
    assert escapes.latex("R-precision/ln_openimages") == r"R-precision/ln\_openimages"
    assert escapes.latex(r"\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"
    assert escapes.latex("5 % ± 1 & #2 $x^2$ ~") == (r"5 \% $\pm$ 1 \& \#2 \$x\textasciicircum{}2\$ \textasciitilde{}")
    assert "\n" not in escapes.latex("% comment\n\\input{x}")


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1"])
def test_a_spreadsheet_sees_no_formulas(formula):
    assert escapes.spreadsheet(formula) == f"'{formula}"
    assert escapes.spreadsheet("a=1") == "a=1" and escapes.spreadsheet(-1.5) == -1.5
    written = io.StringIO()
    csv.writer(written).writerow([escapes.spreadsheet(formula)])
    assert next(csv.reader(io.StringIO(written.getvalue(), newline="")))[0][0] == "'"


def test_charts_have_no_formulas():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().set_title(escapes.chart(r"$\nonsense{$ and 5 $"))
    figure.savefig(io.BytesIO(), format="png")  # Matplotlib would refuse the formula here.


def test_a_name_stays_in_its_cell_of_a_table():
    table = tabulate.tabulate([[escapes.markdown("a | b\nc"), "1"]], ["x", "y"], tablefmt="github")
    assert len(table.splitlines()) == 3 and table.splitlines()[2].count("|") == 3
