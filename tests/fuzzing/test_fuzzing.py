"""A short fixed run of the fuzzer: sound files are read, damaged ones end in an answer or one CpmlError."""

import pytest

from cpml.errors import CpmlError
from fuzzing import session
from fuzzing.targets import targets

COUNTS = {"maps": 25, "artefacts": 100, "files": 150, "yaml": 60, "models": 60}
"""Inputs of each target, by group: readers of HDF5 take longest."""


@pytest.mark.parametrize("name", targets())
def test_damaged_files_end_in_an_answer_or_one_error(name):
    found = session.fixed(targets()[name], COUNTS[targets()[name].group])
    assert not found, f"{found[0][0].what} ({found[0][0].place}): {found[0][1]!r:.300}\n{found[0][0].trace}"


def test_sound_files_are_read(tmp_path):
    """The seeds are no files that every reader refuses at its first line."""
    for target in targets().values():
        for seed in () if target.is_script or target.name == "a.dm3" else target.seeds():
            assert target.read(target.build(seed, tmp_path)) is not None, target.name


def test_a_word_that_is_no_target_is_told():
    with pytest.raises(
        CpmlError, match="target 'nothing': choose a group, artefacts, files, maps, models, yaml"
    ):
        session.chosen("nothing")
    assert [target.name for target in session.chosen("models")] == ["model.json", "model.json+"]
