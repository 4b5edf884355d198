"""Material files: the shipped set is complete and sourced; a user's file works; every
error names file, key and value.
"""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import cpml
from cpml.crystallography import load_material
from cpml.crystallography.materials import FOLDER, material_names
from cpml.errors import DatasetError, ParameterError
from cpml.safe_yaml import read_yaml
from support.phases import MG_RATIO

PACKAGE = Path(cpml.__file__).parent
PUBLISHED = re.compile(r"\b(?:19|20)\d\d\b|VPSC8 example \d")
ESTIMATE = re.compile(r"estimate, spread (\d+\.\d+)")
NAMED = re.compile(r"([A-Z][a-z-]+(?:-[A-Z][a-z]+)?)(?: et al\.| & [A-Z][a-z]+)? ((?:19|20)\d\d)")
SOURCE_OF = {
    "a_nm": "lattice_source",
    "c_nm": "lattice_source",
    "n": "rate_source",
    "reference_rate": "rate_source",
}
BLOCKS = ("elastic", "hardening", "hall_petch", "back_stress", "glide", "creep", "diffusion", "cross_slip")

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


def unsourced(content):
    """What is wrong with the sources of a material file: one line for every number
    whose source is neither a publication nor an estimate with the spread of its block.
    """
    sourced = {key: (content.get(SOURCE_OF[key]), None) for key in SOURCE_OF if key in content}
    blocks = content["families"] | {key: content[key] for key in BLOCKS if key in content}
    sourced |= {key: (block.get("source"), block.get("log_spread")) for key, block in blocks.items()}
    about = {"families", "validity", *BLOCKS}
    found = [
        f"{key}: no source"
        for key, v in content.items()
        if key not in about and key not in sourced and isinstance(v, (int, float, dict))
    ]
    for key, (text, spread) in sourced.items():
        stated = [float(x) for x in ESTIMATE.findall(text or "")]
        if not stated and not PUBLISHED.search(text or ""):
            found.append(f"{key}: {text!r} is neither published nor an estimate with a spread")
        found += [f"{key}: spread {x}, not {spread}" for x in stated if spread is not None and x != spread]
    return found


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_numbers_are_published_or_estimates(name):
    """Every number of a shipped file has a publication or is an estimate with the
    spread of its block; publications of strengths and rates are cited in full.
    """
    content = read_yaml(FOLDER / f"{name}.yml")
    assert unsourced(content) == []
    texts = [block["source"] for block in content["families"].values()] + [content["rate_source"]]
    for author, year in NAMED.findall(" ".join(texts)):
        assert any(author in entry and year in entry for entry in content["citation"]), (author, year)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"lattice_source": "a handbook"}, "a_nm"),
        ({"c_nm": 0.5, "lattice_source": ""}, "c_nm"),
        ({"rate_source": "usual"}, "reference_rate"),
        ({"families": {"basal": {"strength_mpa": 1, "log_spread": 0.5, "source": "assumption"}}}, "basal"),
        ({"diffusion": {"q_kj_per_mol": 1, "log_spread": 1.0, "source": "estimate, spread 0.5: so"}}, "0.5"),
        ({"elastic": {"C11": 1, "source": "estimate: so"}}, "elastic"),
        ({"grain_size_um": 20}, "grain_size_um"),
    ],
)
def test_a_number_without_a_source_is_found(change, words):
    """A source that is missing, vague, an estimate without a spread or with another
    one than its block, and a number in a new place: each is reported.
    """
    good = {
        "a_nm": 0.3,
        "lattice_source": "Somebody 1999",
        "n": 20,
        "reference_rate": 1e-3,
        "rate_source": "estimate, spread 0.5: so",
        "families": {"basal": {"strength_mpa": 1, "log_spread": 0.5, "source": "VPSC8 example 6"}},
    }
    assert unsourced(good) == []
    assert any(words in line for line in unsourced(good | change))


def test_nothing_is_left_to_confirm():
    """No material file and no docstring of the package calls a value or a reference unconfirmed."""
    texts = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yml")}
    for path in PACKAGE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        texts[path] = "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds))
    assert len(texts) > len(SHIPPED)
    left = re.compile(r"to\s+(?:be\s+)?confirm|unconfirmed|no\s+source\s+confirmed", re.IGNORECASE)
    assert [str(path) for path, text in texts.items() if left.search(text)] == []


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
        ("cross_slip: {activation_volume_b3: 1, onset_mpa: 0, source: mine}", "energy_ev missing"),
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
