"""A page for a material file: its numbers, figures and where they are from; text of the file is only text."""

import pytest

from cpml.errors import DatasetError
from cpml.pipeline.report import material_pages

OWN = """
name: own
title: Own <b>metal</b>
lattice: fcc
a_nm: 0.36
families: {octahedral: {strength_mpa: 20, log_spread: 0.3, source: "mine, 2020 <script>"}}
elastic: {C11: 168.9, C12: 121.8, C44: 75.8, source: mine}
hardening: {law: voce, tau1_mpa: 10, theta0_mpa: 100, theta1_mpa: 5, source: mine}
diffusion: {d0_m2_per_s: 2.0e-5, q_kj_per_mol: 197, melting_k: 1356, atomic_volume_nm3: 0.0118, source: mine}
"""


def test_a_page(tmp_path, monkeypatch):
    """Index, page and a figure each for curves, shares, r-values and climb; nothing of the file becomes
    markup.
    """
    monkeypatch.setattr(material_pages, "GRAINS", 12)
    monkeypatch.setattr(material_pages, "STEPS", 3)
    (tmp_path / "own.yml").write_text(OWN)
    index = material_pages.write_pages(tmp_path / "pages", (str(tmp_path / "own.yml"),))
    page = (index.parent / "own.html").read_text()
    assert "own.html" in index.read_text() and "<script>" not in page and "<b>" not in page
    assert "mine, 2020 &lt;script&gt;" in page and "climb_k" in page
    for name in ("curves", "shares", "r_values", "climb"):
        assert f'src="own_{name}.png"' in page and (index.parent / f"own_{name}.png").stat().st_size > 5000


def test_unknown_material(tmp_path):
    """One line that lists the shipped ones."""
    with pytest.raises(DatasetError, match=r"'coper' is unknown.*copper"):
        material_pages.write_pages(tmp_path, ("coper",))
