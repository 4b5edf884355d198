"""Formulas between dollars become MathML while the site is built: no script, no font, no network."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content, **_):
    """The page with its formulas as MathML (called by mkdocs for every page)."""
    return FORMULA.sub(_mathml, content)


def _mathml(found):
    if found[2] == "(":
        return convert(html.unescape(found[3]), display="inline")
    # a wide formula is scrolled, by the keyboard too
    return f'<div class="formula" tabindex="0">{convert(html.unescape(found[3]), display="block")}</div>'
