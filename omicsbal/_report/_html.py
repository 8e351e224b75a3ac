"""Pieces of a page: text is escaped wherever it enters, figures are carried inside."""

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

CSS_INCH = 96  # pixels of CSS
CODE = re.compile(r"`([^`]+)`")
INTERVAL = re.compile(r"[\d.\N{MINUS SIGN}]+ \([^()]* to ")  # kept on one line
Format = Callable[[Any], str]


class Html(str):
    """Text that is a piece of a page already; every other string is escaped."""

    __slots__ = ()


def text(value: object) -> Html:
    """Escaped, unless it is a piece of a page; what stands between backquotes becomes code.

    Examples
    --------
    >>> text("a <b> of `ob.tl.fit`")
    'a &lt;b&gt; of <code>ob.tl.fit</code>'
    """
    if isinstance(value, Html):
        return value
    return Html(CODE.sub(r"<code>\1</code>", plain(value)))


def plain(value: object) -> Html:
    """Escaped, for names and attributes: a backquote in them means nothing."""
    return Html(html.escape(str(value), quote=True))


def join(parts: Iterable[object]) -> Html:
    """Pieces one after the other."""
    return Html("\n".join(text(part) for part in parts))


def paragraph(value: object, *, kind: str = "") -> Html:
    """A paragraph; `kind` is its class in the style sheet."""
    return Html(f"<p{_class(kind)}>{text(value)}</p>")


def bullets(items: Iterable[object], *, kind: str = "", ordered: bool = False) -> Html:
    """A list; nothing if it would be empty."""
    made = [f"<li>{text(item)}</li>" for item in items]
    tag = "ol" if ordered else "ul"
    return Html(f"<{tag}{_class(kind)}>{''.join(made)}</{tag}>" if made else "")


def heading(value: object) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{text(value)}</h3>")


def table(
    frame: pd.DataFrame, caption: str, *, formats: Mapping[str, Format] | None = None, most: int = 40, rest: str = ""
) -> Html:
    """A table with a caption; its first column names the rows, numbers stand at the right.

    Parameters
    ----------
    frame
        Its column names are the headings.
    caption
        What it shows.
    formats
        How a column is written; others as they are.
    most
        Rows shown; more are counted below the table.
    rest
        Where the others are.

    Returns
    -------
    The table in a frame that scrolls where the page is narrow.
    """
    formats = formats or {}
    numeric = {c: pd.api.types.is_numeric_dtype(frame[c]) or c in formats for c in frame.columns}
    head = "".join(f'<th scope="col"{_class("n" * numeric[c])}>{plain(c)}</th>' for c in frame.columns)
    rows = []
    for record in frame.head(most).to_dict("records"):
        cells = []
        for i, c in enumerate(frame.columns):
            shown = plain(formats[c](record[c]) if c in formats else record[c])
            tag, scope = ("th", ' scope="row"') if i == 0 else ("td", "")
            kind = "n" if numeric[c] and i > 0 else "v" if INTERVAL.match(shown) else ""
            cells.append(f"<{tag}{scope}{_class(kind)}>{shown}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = len(frame) - most
    below = paragraph(f"And {more:,} more{f', in {rest}' if rest else ''}.", kind="note") if more > 0 else ""
    label = plain(f"Table: {caption}")
    top = f"<caption><span>{text(caption)}</span></caption><thead><tr>{head}</tr></thead>"
    body = f"<table>{top}<tbody>{''.join(rows)}</tbody></table>"
    return Html(f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{body}</div>{below}')


def figure(draw: Callable[[], Any], *, alt: str, caption: str, raster: bool = False) -> Html:
    """A drawn figure inside the page; a sentence where it cannot be drawn.

    Parameters
    ----------
    draw
        Returns a matplotlib Figure.
    alt
        What is to be seen, for who cannot see it.
    caption
        How to read it.
    raster
        As PNG: for clouds of points, of which each would be written out in SVG.

    Returns
    -------
    The figure on a white card, because its ink is black.
    """
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    with plt.ioff(), plt.rc_context({"svg.hashsalt": "omicsbal", "svg.fonttype": "path", "text.parse_math": False}):
        try:
            drawn = draw()
        except (KeyError, ValueError) as error:
            for left in set(plt.get_fignums()) - before:
                plt.close(left)
            return paragraph(f"No figure: {reason(error)}", kind="note")
        held, kind = io.BytesIO(), "png" if raster else "svg"
        metadata = {"Software": None} if raster else {"Date": None, "Creator": None}
        drawn.savefig(held, format=kind, dpi=170, bbox_inches="tight", metadata=metadata)
        width = round(drawn.get_tightbbox().width * CSS_INCH)
        plt.close(drawn)
    data = base64.b64encode(held.getvalue()).decode()
    source = f"data:image/{'png' if raster else 'svg+xml'};base64,{data}"
    picture = f'<img src="{source}" alt="{plain(alt)}" width="{width}" style="min-width:min({width}px,34rem)">'
    card = f'<div class="card scroll" role="region" tabindex="0" aria-label="{plain("Figure: " + caption)}">{picture}</div>'
    return Html(f"<figure>{card}<figcaption>{text(caption)}</figcaption></figure>")


def terms(pairs: Sequence[tuple[str, str]]) -> Html:
    """A list of definitions."""
    return Html("<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{text(what)}</dd>" for name, what in pairs) + "</dl>")


def reason(error: BaseException) -> str:
    """The text of an error in one line."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(said).split())


def _class(name: str) -> str:
    """An attribute, or nothing."""
    return f' class="{name}"' if name else ""
