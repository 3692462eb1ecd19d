"""The frame of the sheet: one HTML file with its style and script inside, for any browser without a network."""

from __future__ import annotations

import html

_STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --paper: #f5f6f8; --card: #fff; --accent: #3266c8;
  --good: #12774a; --good-back: #e0f4ea; --bad: #a8480a; --bad-back: #fdebdc; --word: 86%; --word-ink: #14181f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #98a4b3; --line: #323a45; --paper: #15191f; --card: #1e242c; --accent: #6f9cf0;
    --good: #6fd6a4; --good-back: #163527; --bad: #f3ac76; --bad-back: #402614; --word: 74%; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem clamp(1rem, 4vw, 4rem) 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.02em; }
h2 { margin: 2.6rem 0 .9rem; font-size: 1.25rem; }
code, .soft { color: var(--soft); }
code { font: .88em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
p { margin: .4rem 0; }
nav { display: flex; flex-wrap: wrap; gap: 1.2rem; margin-top: 1.1rem; }
a { color: var(--accent); }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1.3rem; }
.tile { padding: .7rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .87rem; }
.tables { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start; }
.scroll { width: fit-content; max-width: 100%; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .9rem; text-align: left; vertical-align: top; }
th { font-weight: 600; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr + tr td { border-top: 1px solid var(--line); }
td:first-child { color: var(--soft); }
.agrees b, .differs b { padding: .08rem .55rem; border-radius: 99px; font-weight: 600; font-size: .87rem; }
.agrees b { color: var(--good); background: var(--good-back); }
.differs b { color: var(--bad); background: var(--bad-back); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); gap: 1.2rem;
  align-items: start; margin-bottom: 1.2rem; }
.chart { width: 100%; padding: .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.chart text { fill: var(--soft); font-size: 11px; }
.chart .title { fill: var(--ink); font-size: 13px; font-weight: 600; }
.chart .tick { text-anchor: middle; }
.chart .bar { fill: var(--accent); }
.chart .beyond, .chart text.cut { fill: var(--bad); }
.chart line { stroke: var(--soft); stroke-width: 1; }
.chart line.cut { stroke: var(--bad); stroke-dasharray: 4 3; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); gap: 1.4rem;
  align-items: start; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.picture { background: #0002; }
.frame { position: relative; width: min(100%, calc(420px * var(--ratio))); margin: auto; }
.frame img { display: block; width: 100%; height: auto; }
.frame svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.text { padding: .8rem 1.1rem 1rem; }
.labels { display: flex; flex-wrap: wrap; gap: .35rem; margin: .5rem 0; }
.labels span { padding: 0 .6rem; border: 1px solid var(--line); border-radius: 99px; font-size: .83rem;
  color: var(--soft); }
.text ol { margin: .5rem 0 0; padding-left: 1.3rem; }
.text li { margin: .35rem 0; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text li::marker { color: var(--soft); font-size: .85em; }
.off { text-decoration: line-through; opacity: .55; }
.spoken { padding: .05em .18em; border-radius: 4px; color: var(--word-ink); cursor: default;
  background: hsl(calc(250 - 250 * var(--t)) 88% var(--word)); }
.spoken.on { outline: 2px solid var(--ink); opacity: 1; }
.clock { display: flex; align-items: center; gap: .5rem; color: var(--soft); font-size: .83rem; }
.clock i { flex: 1; height: 5px; border-radius: 9px; background: linear-gradient(to right, hsl(250 88% 60%),
  hsl(200 88% 55%), hsl(150 88% 45%), hsl(100 88% 45%), hsl(50 88% 50%), hsl(0 88% 55%)); }
polyline { fill: none; stroke-linecap: round; stroke-linejoin: round; vector-effect: non-scaling-stroke;
  stroke-width: 3; stroke: hsl(calc(250 - 250 * var(--t)) 95% 58%); }
polyline.below { stroke: #000a; stroke-width: 5.5; pointer-events: none; }
.trace { display: none; }
.trace.shown { display: inline; }
.focus polyline { opacity: .13; }
.focus polyline.on { opacity: 1; stroke-width: 6; }
.several li.told { opacity: .5; }
.several li.told.shown { opacity: 1; }
"""

# Hovering over a narrative shows its trace; over a word, the part of the trace that was drawn meanwhile, and back.
_SCRIPT = """
for (const card of document.querySelectorAll(".card")) {
  const all = (selector) => [...card.querySelectorAll(selector)];
  const clear = () => {
    card.classList.remove("focus");
    all(".on").forEach((element) => element.classList.remove("on"));
  };
  card.addEventListener("mouseleave", clear);
  card.addEventListener("mouseover", (event) => {
    clear();
    const told = event.target.closest("[data-n]");
    if (!told) return;
    const number = told.dataset.n;
    all("[data-n]").forEach((element) => element.classList.toggle("shown", element.dataset.n === number));
    const spoken = event.target.closest("[data-u]");
    if (!spoken) return;
    const same = all('[data-n="' + number + '"] [data-u="' + spoken.dataset.u + '"]');
    same.forEach((element) => element.classList.add("on"));
    if (same.some((element) => element.tagName === "polyline")) card.classList.add("focus");
  });
}
"""


def page(title: str, body: str) -> str:
    """Puts a page together.

    Args:
      title: plain text.
      body: HTML.

    Returns:
      A whole HTML document that asks nothing of a network.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )
