"""Material files: the shipped set is complete and sourced; a user's file works; every
error names file, key and value.
"""

import numpy as np
import pytest

from cpml.crystallography import load_material
from cpml.crystallography.materials import material_names
from cpml.errors import DatasetError, ParameterError
from support.phases import MG_RATIO

SHIPPED = {
    "magnesium",
    "magnesium_az31",
    "titanium_cp",
    "zirconium",
    "nickel",
    "nickel_superalloy",
    "aluminium",
    "copper",
    "if_steel",
    "austenitic_steel",
    "ferrite",
    "stainless_316l",
    "titanium_ti64_alpha",
}

OWN = """
lattice: hcp
a_nm: 0.3
c_nm: 0.48
families:
  basal: {strength_mpa: 12.5, source: my tests}
  twin_1012: {strength_mpa: 30, log_spread: 0.2, source: my tests}
"""


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_material(name):
    """Each has positive strengths and spreads, a source per family, stable elastic
    constants and a validity range.
    """
    material = load_material(name)
    assert material.name == name and np.all(material.strengths > 0) and np.all(material.log_spreads >= 0.3)
    assert all(f.source for f in material.families.values()) and "temperature_k" in material.validity
    assert material.elastic["C11"] > abs(material.elastic["C12"]) and material.elastic["C44"] > 1e4
    found = material.systems()
    assert found.family_names == tuple(material.families)
    kinds = [material.families[found.family_names[f]].kind for f in found.family]
    assert kinds == found.kind.tolist()


def test_the_set_is_complete():
    """Al, Cu, Ni, Ni superalloy, 316L, IF steel, ferrite, Mg, AZ31, cp-Ti, Ti-64 alpha, Zr are shipped."""
    assert set(material_names()) >= SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_value_has_a_source(name):
    """Lattice, rate sensitivity, elastic constants and every block name a source;
    uncertain blocks carry their spread.
    """
    material = load_material(name)
    assert material.lattice_source and material.rate_source and material.elastic_source
    for block in (material.hardening, material.diffusion, material.cross_slip):
        assert not block or (block["source"] and 0 < block["log_spread"] < 3)
    low, high = material.validity["temperature_k"]
    assert 0 < low < high and material.validity["rate"][0] < material.validity["rate"][1]
    assert 2e-10 < material.burgers < 4e-10


def test_mechanism_data():
    """Self-diffusion is slow at room temperature and faster hot; fault energies order Al > Ni > Cu > 316L."""
    energy = [
        load_material(n).cross_slip["stacking_fault_mj_per_m2"]
        for n in ("aluminium", "nickel", "copper", "stainless_316l")
    ]
    assert energy == sorted(energy, reverse=True)
    for name in SHIPPED:
        block = load_material(name).diffusion
        if block:
            d = [
                block["d0_m2_per_s"] * np.exp(-1e3 * block["q_kj_per_mol"] / (8.314 * f * block["melting_k"]))
                for f in (0.3, 1)
            ]
            assert d[0] < 1e-22 and 1e-14 < d[1] < 1e-10


def test_magnesium_ratio():
    """c/a of magnesium is 1.6236 and its {10-12} twins extend c."""
    material = load_material("magnesium")
    assert material.c_over_a == pytest.approx(MG_RATIO, abs=1e-4)
    assert np.all(material.systems(["twin_1012"]).schmid[:, 2, 2] > 0)


def test_own_file(tmp_path):
    """A user's file has the same form; the prior width defaults to 0.5, n to 20."""
    path = tmp_path / "own.yml"
    path.write_text(OWN)
    material = load_material(path)
    assert material.strengths.tolist() == [12.5, 30.0] and material.log_spreads.tolist() == [0.5, 0.2]
    assert material.name == "own" and material.n == 20 and len(material.systems()) == 9


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("basal:", "bassal:", ["bassal", "did you mean 'basal'"]),
        ("12.5", "-12.5", ["strength_mpa", "-12.5"]),
        ("lattice: hcp", "lattice: hex", ["lattice", "'hex'"]),
        ("a_nm", "a_mm", ["a_mm", "a_nm"]),
        ("c_nm: 0.48", "c_nm: 0.9", ["c_nm", "c/a"]),
        ("c_nm: 0.48", "", ["c_nm"]),
        ("12.5", "soft", ["'soft'"]),
        ("lattice: hcp", "lattice: [", ["YAML"]),
        (", source: my tests}", "}", ["source"]),
        ("12.5", ".nan", ["strength_mpa"]),
        ("12.5", "!!python/object:os.system {}", ["YAML"]),
    ],
)
def test_errors_name_file_key_and_value(tmp_path, old, new, words):
    """Unknown family, negative strength, unknown lattice, ...: DatasetError with
    the file and the offending value.
    """
    path = tmp_path / "own.yml"
    path.write_text(OWN.replace(old, new))
    with pytest.raises(DatasetError) as error:
        load_material(path)
    assert all(word in str(error.value) for word in ["own.yml", *words])


@pytest.mark.parametrize(
    "block, words",
    [
        ("diffusion: {d0_m2_per_s: 1e-4, source: mine}", "q_kj_per_mol"),
        ("diffusion: 3", "mapping"),
        ("cross_slip: {activation_volume_b3: 1, onset_mpa: 0, source: mine}", "stacking_fault_mj_per_m2"),
        (
            "cross_slip: {energy_ev: -1, activation_volume_b3: 1, onset_mpa: 0, source: mine}",
            "energy_ev = -1",
        ),
        ("elastic: {C11: 1, C12: 1, C13: 1, C33: 1, C44: 1, log_spread: 0}", "log_spread"),
        (
            "hardening: {law: voce, tau1_mpa: 1, theta0_mpa: 1, theta1_mpa: 1, interactions: "
            "{hurth: 1}, source: mine}",
            "hirth",
        ),
        (
            "hardening: {law: voce, tau1_mpa: 1, theta0_mpa: 1, theta1_mpa: 1, latent: 1, "
            "interactions: {self: 1}, source: mine}",
            "in place of latent",
        ),
    ],
)
def test_wrong_blocks(tmp_path, block, words):
    """Missing numbers, unknown classes, impossible values of the optional
    blocks: DatasetError that names them.
    """
    path = tmp_path / "own.yml"
    path.write_text(OWN + block)
    with pytest.raises(DatasetError, match=words):
        load_material(path)


def test_a_family_that_the_material_does_not_have():
    """Magnesium has no strength for {11-22} twins: ParameterError lists what it has."""
    with pytest.raises(ParameterError, match=r"no family 'twin_1122'.*twin_1012"):
        load_material("magnesium").systems(["basal", "twin_1122"])


@pytest.mark.parametrize("name", ["magnesum", "../magnesium", "missing.yml", ""])
def test_unknown_names(name):
    """Names cannot leave the folder; near names are suggested; a missing path says so."""
    with pytest.raises(DatasetError, match=r"did you mean 'magnesium'|unknown|does not exist"):
        load_material(name)
