"""The specimen of a run: strengths at the temperature of its test; what is said without a load."""

from unittest.mock import MagicMock

import pytest

from cpml.crystallography import load_material
from cpml.errors import CpmlError
from cpml.load import Load
from cpml.pipeline import specimen as module


def a_run(load):
    """A run of a data set of titanium, with tables that nobody reads."""
    run = MagicMock()
    run.dataset.name, run.dataset.files, run.dataset.load = "plate", {}, load
    run.dataset.material.return_value = load_material("titanium_cp")
    return run


def test_no_load():
    """Without a load the answer is one line that says what to declare."""
    with pytest.raises(CpmlError, match="has no load: declare load"):
        module.specimen_of(a_run(None))


def test_strengths_of_the_temperature(monkeypatch):
    """A test at 77 K has the strengths of 77 K, one at 293 K those of the file."""
    given = {}
    monkeypatch.setattr(module, "build_specimen", lambda name, **tables: given.update(tables))
    file = load_material("titanium_cp").families["prismatic"].strength
    for kelvin, times in ((77.0, 2.12), (293.0, 1.0), (None, 1.0)):
        load = {"kind": "tension", "axis": "x", "rate": 1e-3}
        module.specimen_of(a_run(Load.from_dict(load | ({} if kelvin is None else {"temperature": kelvin}))))
        assert given["material"].families["prismatic"].strength / file == pytest.approx(times, rel=0.01)
