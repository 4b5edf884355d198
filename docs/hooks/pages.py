"""Pages that are made while the site is built: API of the rooms, figures of the notebooks, CONTRIBUTING."""

import ast
import base64
import json
import re
import sys
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import prose  # the neighbour of this file

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "cpml"
PICTURE = re.compile(r"\(notebooks/([\w-]+)/([\w-]+)\.png\)")
SHOWN = re.compile(r'"(\w+)",?\s*\)$', re.MULTILINE)
HEAD = "<!-- made by docs/hooks/pages.py from the stubs and the docstrings -->\n"


def on_files(files, config):
    """Add what is made (called by mkdocs when it has listed docs/)."""
    made = {f"api/{room}.md": page for room, page in api_pages().items()}
    made["contributing.md"] = contributing()
    for page in files.documentation_pages():
        for notebook, name in PICTURE.findall(page.content_string):
            made[f"notebooks/{notebook}/{name}.png"] = picture(notebook, name)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_post_page(output, **_):
    """Name the theme's search box for those who hear the page (called by mkdocs for every page)."""
    return output.replace(
        'data-md-component="search" role="dialog"',
        'data-md-component="search" role="dialog" aria-label="Search"',
    )


def rooms() -> list[str]:
    """The rooms of the package, as its own stub lists them."""
    return [name for name, _ in _public(PACKAGE)[None] if (PACKAGE / name).is_dir()]


def api_pages() -> dict[str, str]:
    """Room -> its page; "index" -> the overview, with the modules of the ground floor."""
    return {"index": _overview()} | {room: _room(room) for room in rooms()}


def contributing() -> str:
    """CONTRIBUTING.md as a page of docs/."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")


def picture(notebook: str, name: str) -> bytes:
    """PNG that the committed notebook shows under this name.

    Raises
    ------
    PluginError : no such figure in the notebook
    """
    content = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if "run.show(" in source and name in SHOWN.findall(source):
            shown = [output["data"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
            if shown:
                return base64.b64decode("".join(shown[0]["image/png"]))
    raise PluginError(f"notebooks/{notebook}.ipynb shows no figure {name!r}")


def _public(folder: Path) -> dict[str | None, list[tuple[str, str]]]:
    """Module -> (name, name in the module) of a room's stub; None -> modules and rooms themselves."""
    found = {}
    for node in ast.parse((folder / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            found.setdefault(node.module, []).extend((a.asname or a.name, a.name) for a in node.names)
    return found


def _docstring(path: Path) -> str:
    return prose(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")


def _overview() -> str:
    public = _public(PACKAGE)
    lines = [HEAD, "# API\n", _docstring(PACKAGE / "__init__.py").split("\n\n")[0], ""]
    lines += ["| room | what it is for |", "|---|---|"]
    for room in rooms():
        summary = _docstring(PACKAGE / room / "__init__.py").split("\n\n")[0].replace("\n", " ")
        lines.append(f"| [`cpml.{room}`]({room}.md) | {summary} |")
    short = [
        f"[`cpml.{name}`][cpml.{module.split('.')[0]}.{name}]"
        for module, names in public.items()
        if module and "." in module
        for name, _ in names
    ]
    lines += [
        "",
        f"Short for what is used most: {', '.join(short)}, [`cpml.CpmlError`][cpml.errors.CpmlError].",
        "",
    ]
    modules = [name for name, _ in public[None] if (PACKAGE / f"{name}.py").is_file()]
    return "\n".join([*lines, *(_module(f"cpml.{name}") for name in modules)])


def _room(room: str) -> str:
    folder = PACKAGE / room
    lines = [HEAD, f"# cpml.{room}\n", _docstring(folder / "__init__.py"), ""]
    for module, names in _public(folder).items():
        if module is None:
            lines += [_module(f"cpml.{room}.{name}") for name, _ in names]
            continue
        lines += [
            f"## {module} {{ #{room}-{module} }}\n",
            _docstring(folder / f"{module.replace('.', '/')}.py"),
            "",
        ]
        lines += [f"::: {_path(room, module, name)}\n" for name, _ in names]
    return "\n".join(lines)


def _path(room: str, module: str, name: str) -> str:
    """Where a public name is found by somebody who reads files: a sub-room of the same name would hide it."""
    hidden = (PACKAGE / room / name).is_dir() or (PACKAGE / room / f"{name}.py").is_file()
    return f"cpml.{room}.{module}.{name}" if hidden else f"cpml.{room}.{name}"


def _module(path: str) -> str:
    return f"::: {path}\n    options:\n      heading_level: 2\n"
