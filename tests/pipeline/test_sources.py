"""Which modules a notebook's code reaches: what has to change before its step runs again."""

import pytest

from cpml.pipeline import steps
from cpml.pipeline.sources import closure, reached, sources_sha256

KAM = "from cpml import microscopy\nmicroscopy.kam(grains)"


def test_a_name_of_a_face_is_the_module_that_defines_it():
    """Attributes of a face, names imported from one, aliases, and modules named in full."""
    assert "cpml.microscopy.curvature.kam" in reached(KAM)
    assert "cpml.microscopy.curvature.kam" in reached("import cpml\ncpml.microscopy.kam(grains)")
    assert "cpml.plasticity.laws.law" in reached("from cpml.plasticity import PowerLaw")
    assert "cpml.evaluation.scores" in reached("from cpml import evaluation as e\ne.evaluate(1)")
    assert reached("import numpy as np\nnp.zeros(3)") == set()


def test_imports_are_followed_also_inside_functions():
    """KAM needs disorientations; reading a map needs every reader, named at run time only."""
    assert "cpml.crystallography.disorientation" in closure(KAM)
    assert "cpml.plots.maps" not in closure(KAM)
    readers = {m for m in closure("from cpml.microscopy import read_map") if ".readers." in m}
    assert {"cpml.microscopy.io.readers.ctf", "cpml.microscopy.io.readers.ang"} <= readers


def test_a_notebook_depends_on_what_it_uses_only():
    """The comparison reads tables: no reader of maps, no law; the evaluation draws no pole figure."""
    found = {step.name: closure(step.code) for step in [*steps.discover(), steps.comparison()]}
    assert not any(".plasticity." in module for module in found["07_comparison"])
    assert "cpml.plots.texture.poles" not in found["05_evaluation"]
    assert "cpml.plots.texture.poles" in found["01_ingestion"]
    assert "cpml.models.coupled.coupled" in found["04_coupled_models"]


def test_the_hash_changes_with_a_reached_module_only(monkeypatch):
    """Another source of the KAM module is another key; another source of a figure is not."""
    from cpml.pipeline import sources

    before, files = sources_sha256(KAM), dict(sources.modules())
    for module, changes in (("cpml.plots.maps", False), ("cpml.microscopy.curvature.kam", True)):
        monkeypatch.setattr(sources, "modules", lambda module=module: files | {module: "# another"})
        sources.reached_by.cache_clear()
        assert (sources_sha256(KAM) != before) == changes
    sources.reached_by.cache_clear()


@pytest.mark.parametrize("step", steps.discover(), ids=lambda step: step.name)
def test_every_notebook_says_what_it_asks_and_writes(step):
    """The first cell has a question; what it says it writes is what it writes."""
    assert step.question.endswith("?") or "?" in step.question
    assert step.is_declared
    for artefact in step.writes:
        # map and coupled model are written by methods, labels of a source in three tables
        prefix = artefact.rpartition("_")[0]
        named = (f'"{artefact}"', f"write_{artefact}(", f'"{artefact}.', f'write_labels("{prefix}"')
        assert any(text in step.code for text in named), artefact


def test_the_package_is_read_anew_when_it_has_changed(tmp_path, monkeypatch):
    """Not at every call: parsing it takes a while."""
    from cpml.pipeline import sources

    file = tmp_path / "module.py"
    file.write_text("a = 1")
    monkeypatch.setattr(sources, "files", lambda: [file])
    sources.forget()
    sources.reached_by("cpml.errors")
    sources.forget()
    assert sources.reached_by.cache_info().currsize == 1
    file.write_text("a = 12")
    sources.forget()
    assert sources.reached_by.cache_info().currsize == 0
