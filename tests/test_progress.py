"""The bar of long work: on a terminal after a while, and nowhere else."""

import io

import pytest

import cpml.progress
from cpml.microscopy import read_map
from cpml.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "stream, delay, is_seen", [(Terminal, 0.0, True), (Terminal, 60.0, False), (io.StringIO, 0.0, False)]
)
def test_bar_is_for_terminals_and_long_work(monkeypatch, stream, delay, is_seen):
    """A terminal sees name and count once the delay is over; a file sees nothing;
    the items come through unchanged.
    """
    monkeypatch.setattr("sys.stderr", stream())
    monkeypatch.setattr(cpml.progress, "DELAY_S", delay)
    assert list(progress(range(5), "rolling sheets", unit="sheet")) == [0, 1, 2, 3, 4]
    import sys

    assert ("rolling sheets" in sys.stderr.getvalue()) == is_seen


def test_reading_a_map_tells_its_name(monkeypatch, tmp_path):
    """The reader of text maps names the file that it is busy with."""
    header = ["Channel Text File", "XCells\t2", "YCells\t1", "XStep\t1", "YStep\t1", "Phases\t1"]
    phase = "3.5;3.5;3.5\t90;90;90\tNickel\t11\t225"
    points = ["Phase\tX\tY\tEuler1\tEuler2\tEuler3", "1\t0\t0\t10\t20\t30", "1\t1\t0\t10\t20\t30"]
    lines = [*header, phase, *points]
    (tmp_path / "plate.ctf").write_text("\n".join(lines))
    monkeypatch.setattr("sys.stderr", screen := Terminal())
    monkeypatch.setattr(cpml.progress, "DELAY_S", 0.0)
    assert read_map(tmp_path / "plate.ctf").shape == (1, 2)
    assert "reading plate.ctf" in screen.getvalue()
