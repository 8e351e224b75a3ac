"""The page: one file that asks the network for nothing, in light and dark, narrow, wide and on paper."""

from collections.abc import Sequence
from string import Template

from omicsbal._report._html import Html, plain

CSS = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --paper: #fff; --line: #d9dee3; --tint: #f4f6f8;
  --link: #0a5ea8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --soft: #a3adb8; --paper: #14181d; --line: #38414b; --tint: #1d232a; --link: #7cb8f5; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; padding: 1.25rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 66rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0.5rem 0 0.25rem; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3rem 0 0.75rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 0.4rem; }
p, li, dd { max-width: 46rem; }
ul, ol { padding-left: 1.3rem; } li { margin: 0.3rem 0; }
a { color: var(--link); } a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: 0.9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--tint); padding: 0.1em 0.3em;
  border-radius: 3px; overflow-wrap: anywhere; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 0.5rem; background: var(--paper); padding: 0.5rem; }
.sub, .note, figcaption, caption { color: var(--soft); }
.note, figcaption, caption, table { font-size: 0.9rem; }
.answers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.answer { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1.1rem; }
.answer h3 { margin-top: 0; } .answer { overflow-wrap: anywhere; } .answer .lead { font-weight: 600; }
.answer > :last-child { margin-bottom: 0; }
nav ol { columns: 15rem; column-gap: 2.5rem; padding-left: 1.4rem; margin: 0.5rem 0 0; }
nav li { margin: 0; padding: 0.15rem 0; break-inside: avoid; }
nav h2 { margin-top: 2rem; }
figure { margin: 1.25rem 0; }
.scroll { overflow-x: auto; max-width: 100%; }
.card { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: 0.75rem; }
.card img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { margin-top: 0.4rem; max-width: 46rem; }
table { border-collapse: collapse; margin: 0.5rem 0; font-variant-numeric: tabular-nums;
  width: max-content; max-width: max(100%, 56rem); }
caption { text-align: left; padding: 0.25rem 0 0.4rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(46rem, calc(100vw - 3rem)); }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.9rem 0.35rem 0;
  border-bottom: 1px solid var(--line); max-width: 26rem; }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; } tbody th { font-weight: 600; }
.n { text-align: right; } .n, .v { white-space: nowrap; }
dt { font-weight: 600; margin-top: 0.9rem; } dd { margin: 0.1rem 0 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 0.75rem; color: var(--soft); font-size: 0.9rem; }
@media print {
  :root { --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --tint: #fff; --link: #000; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav, .skip { display: none; }
  h2 { margin-top: 1.5rem; break-after: avoid; } h3 { break-after: avoid; } p, li { orphans: 3; widows: 3; }
  figure, tr, .answer, dt { break-inside: avoid; } thead { display: table-header-group; }
  .answers { display: block; } .answer { margin-bottom: 0.75rem; } .scroll { overflow: visible; }
  .card { border: 0; padding: 0; } .card img { min-width: 0 !important; max-width: 100%; max-height: 15cm; width: auto; }
  .note, figcaption, caption { font-size: 9pt; }
  table { font-size: 8pt; width: auto; max-width: 100%; } td, th { padding-right: 0.5rem; } .n, .v { white-space: normal; }
  caption span { position: static; max-width: none; }
}
"""
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title>
<style>$css</style>
</head>
<body>
<a class="skip" href="#findings">Skip to the findings</a>
<header>
<h1>$title</h1>
<p class="sub">$sub</p>
</header>
<main>
<section id="findings" aria-label="Findings">
<div class="answers">
$findings
</div>
</section>
<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ol>$contents</ol></nav>
$sections
</main>
<footer>Made by omicsbal from one fit. Nothing on this page is loaded from elsewhere.</footer>
</body>
</html>
""")


def page(*, title: str, sub: str, findings: Html, sections: Sequence[tuple[str, str, Html]]) -> str:
    """The whole page, from sections as (id, heading, content)."""
    contents = "".join(f'<li><a href="#{name}">{plain(head)}</a></li>' for name, head, _ in sections)
    bodies = "\n".join(
        f'<section id="{name}" aria-labelledby="{name}-h">\n<h2 id="{name}-h">{plain(head)}</h2>\n{body}\n</section>'
        for name, head, body in sections
    )
    filled = {"title": plain(title), "sub": plain(sub), "css": CSS, "findings": findings}
    return PAGE.substitute(filled, contents=contents, sections=bodies)
