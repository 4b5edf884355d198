"""Docstrings of this project as griffe understands them.

The project writes ``name : meaning`` in the sections of a docstring, several in a line with semicolons, and
leaves types to the signature; numpydoc proper has ``name : type`` with the meaning below. The comments behind
the fields of a record are their docstrings.
"""

import re

from griffe import Docstring, Extension

TITLES = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
SECTION = re.compile(rf"^({'|'.join(TITLES)})\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", re.MULTILINE | re.DOTALL)
NAMES = r"\*{0,2}[a-zA-Z_]\w*(?:,\s+\*{0,2}[a-zA-Z_]\w*)*"
ENTRY = re.compile(rf"(?:^|(?<=; ))({NAMES}) : ")
ROLE = re.compile(r":(?:func|class|meth|mod|attr):`~?([^`]+)`")
CODE = re.compile(r"(``?.*?``?)", re.DOTALL)


class Docstrings(Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj, loader, **_):
        """Called for every module, class, function and attribute once all are known."""
        if obj.is_alias:
            return
        if obj.docstring:
            obj.docstring.value = numpydoc(obj.docstring.value)
        elif obj.is_attribute and (comment := _comment(obj)):
            obj.docstring = Docstring(prose(comment), parent=obj, lineno=obj.lineno)


def numpydoc(text: str) -> str:
    """A docstring with its sections as numpydoc has them, its prose safe for Markdown.

    >>> print(numpydoc("Sum.\\n\\nParameters\\n----------\\na, b : (N,) numbers; c : third"))
    Sum.
    <BLANKLINE>
    Parameters
    ----------
    a
        (N,) numbers
    b
        (N,) numbers
    c
        third
    """
    return SECTION.sub(lambda found: _section(found[1], found[2]), prose(text))


def prose(text: str) -> str:
    """Text whose words Markdown does not take for tags or emphasis; code and equations stay as they are."""
    lines = ROLE.sub(r"`\1`", text).split("\n")
    in_example = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        equation = line.startswith("    ") and (
            i == 0 or not lines[i - 1].strip() or lines[i - 1][:4] == "    "
        )
        if not in_example and not equation:
            parts = CODE.split(line)
            parts[::2] = [_escaped(part) for part in parts[::2]]
            lines[i] = "".join(parts)
    return "\n".join(lines)


def _escaped(text: str) -> str:
    text = re.sub(r"(?<=>)_|_(?=<)", r"\\_", text)
    return text.replace("<", "&lt;").replace("(*", "(\\*")


def _section(title: str, body: str) -> str:
    head = f"{title}\n{'-' * len(title)}\n"
    if title in ("Returns", "Yields"):  # the signature has the type
        return f"{head}:\n{_indented(body)}\n\n"
    entries = []
    for line in re.split(r"\n(?=\S)", body.strip()):
        pieces = ENTRY.split(" ".join(line.split()) if ";" in line else line)
        if not pieces[0].strip():
            named = zip(pieces[1::2], pieces[2::2], strict=True)
            entries += [(name, text) for names, text in named for name in re.split(r",\s+", names)]
        elif entries:  # the last entry goes on
            entries[-1] = (entries[-1][0], entries[-1][1] + "\n" + line)
    return head + "".join(f"{name}\n{_indented(text.rstrip('; '))}\n" for name, text in entries) + "\n"


def _indented(text: str) -> str:
    return "\n".join("    " + line.strip() for line in text.strip().splitlines())


def _comment(attribute) -> str:
    """What stands behind a field of a record, on its own line."""
    if attribute.parent is None or not attribute.parent.is_class or not attribute.lineno:
        return ""
    line = "\n".join(attribute.lines).strip()
    found = re.search(r"  # (?!type:|noqa)(.+)$", line.splitlines()[-1] if line else "")
    return found[1] if found else ""
