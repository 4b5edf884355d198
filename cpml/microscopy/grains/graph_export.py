"""The grain graph as a GraphML file for other programs: grains are nodes, boundaries are edges."""

from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from cpml.errors import ParameterError
from cpml.files import write_atomic


def write_graphml(
    path: str | Path,
    nodes: pd.DataFrame,
    edges: pd.DataFrame,
    *,
    node_id: str = "fragment_id",
    ends: tuple[str, str] = ("fragment_a", "fragment_b"),
) -> Path:
    """Grains and boundaries as an undirected GraphML file: every column is an attribute; missing values
    are left out.

    Parameters
    ----------
    nodes, edges : `Grains.table` and a boundary table, or tables of whole grains
    node_id, ends : their id columns

    Raises
    ------
    ParameterError : an edge names a node that is not there
    """
    import networkx

    known = set(nodes[node_id])
    strangers = sorted((set(edges[ends[0]]) | set(edges[ends[1]])) - known)
    if strangers:
        raise ParameterError(f"edges name {node_id} {strangers[0]}, which the nodes do not have")
    graph = networkx.Graph()
    graph.add_nodes_from((row.pop(node_id), row) for row in _known_values(nodes))
    graph.add_edges_from((row.pop(ends[0]), row.pop(ends[1]), row) for row in _known_values(edges))
    return write_atomic(Path(path), lambda temporary: networkx.write_graphml(graph, temporary))


def _known_values(table: pd.DataFrame) -> list[dict[Hashable, object]]:
    """Rows without what is missing."""
    return [{k: v for k, v in row.items() if pd.notna(v)} for row in table.to_dict("records")]
