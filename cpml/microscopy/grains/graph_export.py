"""The grain graph as a GraphML file for other programs: grains are nodes, boundaries are edges."""

import os
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pandas as pd

from cpml.errors import ParameterError


def write_graphml(path: str | os.PathLike, nodes: pd.DataFrame, edges: pd.DataFrame, *, node_id: str = "fragment_id",
                  ends: tuple[str, str] = ("fragment_a", "fragment_b")) -> Path:  # fmt: skip
    """Grains and boundaries as an undirected GraphML file: every column is an
    attribute; missing values are left out.

    Parameters
    ----------
    nodes, edges : `grains.table` and a boundary table, or tables of parents
    node_id, ends : their id columns

    Raises
    ------
    ParameterError : an edge names a node that is not there
    """
    path = Path(path)
    known = set(nodes[node_id])
    strangers = sorted(set(edges[ends[0]]) | set(edges[ends[1]]))
    strangers = [i for i in strangers if i not in known]
    if strangers:
        raise ParameterError(f"edges name {node_id} {strangers[0]}, which the nodes do not have")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
    ]
    keys = {}
    for kind, table, skipped in (("node", nodes, (node_id,)), ("edge", edges, ends)):
        for name in table.columns.difference(skipped, sort=False):
            keys[kind, name] = f"{kind[0]}{len(keys)}"
            lines.append(
                f'<key id="{keys[kind, name]}" for="{kind}" attr.name={quoteattr(str(name))} '
                f'attr.type="{_xml_type(table[name])}"/>'
            )
    lines.append('<graph edgedefault="undirected">')
    for row in nodes.to_dict("records"):
        lines.append(f'<node id="{row[node_id]}">{_xml_data("node", row, keys)}</node>')
    for row in edges.to_dict("records"):
        lines.append(
            f'<edge source="{row[ends[0]]}" target="{row[ends[1]]}">{_xml_data("edge", row, keys)}</edge>'
        )
    lines += ["</graph>", "</graphml>", ""]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text("\n".join(lines), encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _xml_type(column: pd.Series) -> str:
    for test, name in ((pd.api.types.is_bool_dtype, "boolean"), (pd.api.types.is_integer_dtype, "long"),
                       (pd.api.types.is_float_dtype, "double")):  # fmt: skip
        if test(column):
            return name
    return "string"


def _xml_data(kind: str, row: dict, keys: dict) -> str:
    cells = []
    for (owner, name), key in keys.items():
        value = row.get(name) if owner == kind else None
        if value is None or (isinstance(value, float) and np.isnan(value)):
            continue
        text = str(value).lower() if isinstance(value, (bool, np.bool_)) else escape(str(value))
        cells.append(f'<data key="{key}">{text}</data>')
    return "".join(cells)
