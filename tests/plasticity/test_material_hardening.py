"""Hardening blocks of material files: the shipped ones build, deform and harden; wrong
ones name file, key and value.
"""

import numpy as np
import pytest

from cpml.crystallography import load_material, random_quaternions
from cpml.crystallography.materials import material_names
from cpml.errors import DatasetError
from cpml.plasticity import NoHardening, PowerLaw, deform, material_hardening
from support.phases import TENSION

OWN = """
lattice: fcc
a_nm: 0.36
families: {octahedral: {strength_mpa: 20, source: mine}}
hardening: {law: voce, tau1_mpa: 10, theta0_mpa: 100, theta1_mpa: 5, source: mine}
"""


@pytest.mark.parametrize("name", [n for n in material_names() if load_material(n).hardening])
def test_shipped_blocks_harden(name):
    """Five percent of strain raises the stress of every material that has a block."""
    material = load_material(name)
    path = deform(
        PowerLaw.from_material(material),
        material_hardening(material),
        random_quaternions(10, np.random.default_rng(0)),
        loading=1e-3 * TENSION,
        increment=0.01,
        steps=5,
        temperature=293.0,
        update_texture=False,
    )
    assert bool(path.converged.all()) and float(path.von_mises[-1]) > float(path.von_mises[0])


def test_latent_and_missing_blocks():
    """Twins of AZ31 are hardened twice as much by basal and prismatic slip; nickel has no block."""
    law = material_hardening(load_material("magnesium_az31"))
    assert law.latent[-1, 0] == 2 and law.latent[-1, -2] == 1 and law.latent[0, -1] == 1
    assert isinstance(material_hardening(load_material("nickel")), NoHardening)


def test_named_alloys():
    """Ferrite, 316L and the alpha phase of Ti-6Al-4V are among the materials, with sources."""
    for name in ("ferrite", "stainless_316l", "titanium_ti64_alpha"):
        assert all(f.source and f.log_spread >= 0.3 for f in load_material(name).families.values())


def test_interactions_of_a_file(tmp_path):
    """A file may give factors by interaction class in place of a latent ratio,
    for strengths and for densities.
    """
    path = tmp_path / "own.yml"
    path.write_text(OWN.replace("law: voce,", "law: voce, interactions: {collinear: 5.0, hirth: 0.5},"))
    latent = material_hardening(load_material(path)).latent
    assert sorted(set(latent[0].tolist())) == [0.5, 1.0, 5.0] and int((latent[0] == 5).sum()) == 1


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("law: voce", "law: vocce", "voce"),
        ("theta1_mpa: 5, ", "", "theta1_mpa missing"),
        ("100", "-100", "-100"),
        ("tau1_mpa: 10", "tau1_mpa: {octahedron: 10}", "octahedron"),
        (", source: mine}\n", "}\n", "source"),
        ("{law: voce,", "{law: voce, latent: {octahedral: 2},", "latent"),
    ],
)
def test_wrong_blocks(tmp_path, old, new, words):
    """Unknown law, missing key or source, negative value, unknown family, latent row
    of the wrong form: DatasetError.
    """
    path = tmp_path / "own.yml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(DatasetError, match=words) as error:
        load_material(path)
    assert "own.yml" in str(error.value)


def test_coplanar_systems_harden_as_themselves():
    """A latent ratio of a material file is that of systems on different planes, 1 on the same plane: each of
    the 12 systems of copper meets itself and two others with 1, nine with 1.4.
    """
    matrix = material_hardening(load_material("copper")).latent.numpy()
    plane = load_material("copper").systems().plane
    assert (matrix == 1.0).sum(1).tolist() == [3] * 12 and np.isclose(matrix, 1.4).sum(1).tolist() == [9] * 12
    assert np.allclose(np.abs(plane @ plane.T)[matrix == 1.0], 1.0)
