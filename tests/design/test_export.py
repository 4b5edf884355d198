"""Decks for other programs are read back: orientations, grid, load, numbers."""

import base64
import io
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import yaml

import cpml
from cpml import design
from cpml.crystallography import disorientation_angle, euler_to_quaternion, load_material
from cpml.crystallography.symmetry import proper_group
from cpml.errors import ParameterError
from cpml.load import Load
from cpml.safe_yaml import read_yaml

MG = load_material("magnesium")
DESIGN = design.suggest({"r_value": 1.0}, material=MG, grid_deg=20.0, verify=False)
SMALL = {"material": MG, "grains": 20, "cells": 10}


def cell_arrays(file):
    """Arrays of a .vti file by name, and its extent and spacing, by the XML alone."""
    image = ElementTree.parse(file).getroot().find("ImageData")
    arrays = {}
    for array in image.iter("DataArray"):
        kind = {"Int64": "<i8", "Float64": "<f8"}[array.get("type")]
        raw = base64.b64decode(array.text.strip())
        arrays[array.get("Name")] = np.frombuffer(raw[8:], kind)
    extent = [int(v) for v in image.get("WholeExtent").split()]
    return arrays, extent[1::2], [float(v) for v in image.get("Spacing").split()]


def test_damask_job(tmp_path):
    """Every constituent of material.yaml is a voxel of grid.vti; orientations are those of the sample; the
    load is free on its sides; numbers are the file's in SI, families in DAMASK's places.
    """
    files = design.export(DESIGN, tmp_path, format="damask", strain=0.03, increments=30, **SMALL)
    assert [f.name for f in files] == ["material.yaml", "grid.vti", "load.yaml"]
    material, load = (yaml.safe_load((tmp_path / n).read_text()) for n in ("material.yaml", "load.yaml"))
    arrays, cells, spacing = cell_arrays(tmp_path / "grid.vti")
    assert cells == [10, 10, 10] and len(set(spacing)) == 1 and 1e-7 < spacing[0] < 1e-4  # m
    assert set(arrays["material"]) == set(range(len(material["material"])))
    phase = material["phase"]["magnesium"]
    plastic, elastic = phase["mechanical"]["plastic"], phase["mechanical"]["elastic"]
    assert (phase["lattice"], plastic["type"]) == ("hP", "phenopowerlaw")
    assert phase["c/a"] == pytest.approx(MG.c_over_a)
    assert elastic["C_33"] == pytest.approx(61.7e9) and elastic["C_44"] == pytest.approx(16.5e9)
    assert plastic["N_sl"] == [3, 3, 0, 0, 6] and plastic["N_tw"] == [6]
    assert plastic["xi_0_sl"] == pytest.approx([10e6, 55e6, 0, 0, 60e6])
    assert plastic["xi_0_tw"] == pytest.approx([40e6]) and plastic["a_sl"][0] == 2.25
    assert plastic["xi_inf_sl"][1] == pytest.approx(135e6) and plastic["h_0_sl-sl"][0] == pytest.approx(500e6)
    step = load["loadstep"][0]
    assert step["boundary_conditions"]["mechanical"]["dot_F"] == [[0.001, 0, 0], [0, "x", 0], [0, 0, "x"]]
    assert step["boundary_conditions"]["mechanical"]["P"] == [["x"] * 3, ["x", 0, "x"], ["x", "x", 0]]
    assert step["discretization"] == {"t": pytest.approx(30.0), "N": 30}
    inside = np.array([m["constituents"][0]["O"] for m in material["material"]])
    grid_angle = disorientation_angle(
        inside[:, None], DESIGN.to_frame()[["qw", "qx", "qy", "qz"]].to_numpy()[None], proper_group("622")
    )
    assert np.degrees(grid_angle.min(1)).max() < 1e-4  # each is an orientation of the design


def test_damask_places_are_those_of_a_job_that_ran(tmp_path, reference):
    """The same families, counts and numbers as in a job that DAMASK 3.0.2 solved, in the same places."""
    design.export(DESIGN, tmp_path, format="damask", **SMALL)
    ours = read_yaml(tmp_path / "material.yaml")["phase"]["magnesium"]
    theirs = read_yaml(reference("damask/d_hcp_mg_sx/T_tri_tens_rnd0/material.yaml"))["phase"]["A"]
    assert ours["lattice"] == theirs["lattice"]
    assert ours["c/a"] == pytest.approx(theirs["c/a"], rel=1e-3)
    mine, given = ours["mechanical"]["plastic"], theirs["mechanical"]["plastic"]
    for key in (
        "N_sl",
        "N_tw",
        "xi_0_sl",
        "xi_0_tw",
        "xi_inf_sl",
        "h_0_sl-sl",
        "n_sl",
        "n_tw",
        "dot_gamma_0_tw",
    ):
        assert mine[key] == pytest.approx(given[key]), key
    assert set(mine) <= set(given) | {"c_3", "c_4"} and len(mine["h_sl-sl"]) >= len(given["h_sl-sl"])
    for key in ("C_11", "C_12", "C_13", "C_33", "C_44"):
        assert ours["mechanical"]["elastic"][key] == pytest.approx(theirs["mechanical"]["elastic"][key])


def test_damask_reads_it(tmp_path):
    """The damask package, where it is installed, reads orientations, grid and load."""
    damask = pytest.importorskip("damask")
    design.export(DESIGN, tmp_path, format="damask", **SMALL)
    material = damask.ConfigMaterial.load(tmp_path / "material.yaml")
    grid = damask.GeomGrid.load(tmp_path / "grid.vti")
    assert material.is_complete and tuple(grid.cells) == (10, 10, 10)
    assert grid.material.max() + 1 == len(material["material"])
    assert damask.YAML.load(tmp_path / "load.yaml")["solver"]["mechanical"] == "spectral_basic"


def test_abaqus_input(tmp_path):
    """Nodes, elements, a set and an orientation for every grain; sets hold every element once; the face moves
    by strain times length.
    """
    (file,) = design.export(DESIGN, tmp_path, format="abaqus", strain=0.1, **SMALL)
    lines = file.read_text().splitlines()
    at = [k for k, line in enumerate(lines) if line.startswith("*")]
    block = {lines[a]: lines[a + 1 : b] for a, b in zip(at, [*at[1:], len(lines)], strict=True)}
    assert len(block["*NODE"]) == 11**3 and len(block["*ELEMENT, TYPE=C3D8R, ELSET=ALL"]) == 1000
    sets = [v for k, v in block.items() if k.startswith("*ELSET")]
    numbers = [int(n) for rows in sets for row in rows for n in row.split(",")]
    assert sorted(numbers) == list(range(1, 1001))
    axes = [
        np.array([float(x) for x in v[0].split(",")])
        for k, v in block.items()
        if k.startswith("*ORIENTATION")
    ]
    assert len(axes) == len(sets)
    for row in axes:
        a, b = row[:3], row[3:]
        assert a @ a == pytest.approx(1) and b @ b == pytest.approx(1) and a @ b == pytest.approx(0, abs=1e-8)
    nodes = np.loadtxt(io.StringIO("\n".join(block["*NODE"])), delimiter=",")
    moved = float(next(r for r in block["*BOUNDARY"] if r.startswith("X1")).split(",")[-1])
    assert moved == pytest.approx(0.1 * nodes[:, 1].max())
    first = [int(n) for n in block["*ELEMENT, TYPE=C3D8R, ELSET=ALL"][0].split(",")][1:]
    corners = nodes[np.array(first) - 1, 1:]
    edges = corners[[1, 3, 4]] - corners[0]
    assert np.linalg.det(edges) > 0  # right-handed


def test_vtk_and_mtex(tmp_path):
    """Angles of the voxels are the orientations of their grains; weighted orientations add up to one."""
    (volume,) = design.export(DESIGN, tmp_path, format="vtk", **SMALL)
    arrays, _, _ = cell_arrays(volume)
    angles, q = arrays["bunge_deg"].reshape(-1, 3), arrays["quaternion"].reshape(-1, 4)
    again = euler_to_quaternion(np.radians(angles))
    assert np.abs((again * q).sum(1)) == pytest.approx(1, abs=1e-9)
    (table,) = design.export(DESIGN, tmp_path, format="mtex")  # orientations need no material
    rows = np.loadtxt(table, delimiter=",", skiprows=1)
    assert rows[:, 3].sum() == pytest.approx(1, abs=1e-5) and len(rows) == len(DESIGN.to_frame())


def test_other_loads_and_lattices(tmp_path):
    """Compression along y, a shear by its rate; copper's densities have no counterpart and the file says so;
    ferrite's families stand in DAMASK's order.
    """
    press = Load.from_dict({"kind": "compression", "axis": "y", "rate": 1e-2})
    shear = Load.from_dict({"kind": "shear", "axis": "x", "plane": "y"})
    fcc = design.suggest({"r_value": 1.0}, material="copper", grid_deg=20.0, verify=False)
    design.export(fcc, tmp_path / "a", format="damask", **(SMALL | {"material": "copper", "load": press}))
    text = (tmp_path / "a" / "material.yaml").read_text()
    assert text.startswith("# hardening law 'kocks_mecking' has no counterpart")
    load = yaml.safe_load((tmp_path / "a" / "load.yaml").read_text())["loadstep"][0]
    assert load["boundary_conditions"]["mechanical"]["dot_F"][1][1] == -0.01
    design.export(fcc, tmp_path / "b", format="damask", **(SMALL | {"material": "ferrite", "load": shear}))
    ferrite = yaml.safe_load((tmp_path / "b" / "material.yaml").read_text())["phase"]["ferrite"]
    assert ferrite["mechanical"]["plastic"]["N_sl"] == [12, 12, 24]
    load = yaml.safe_load((tmp_path / "b" / "load.yaml").read_text())["loadstep"][0]
    rate = np.array(load["boundary_conditions"]["mechanical"]["dot_F"])
    assert rate == pytest.approx(shear.rate * np.array(shear.rate_direction)) and rate[0, 1] > 0
    with pytest.raises(ParameterError, match="along a sample axis"):
        design.export(fcc, tmp_path / "c", format="abaqus", **(SMALL | {"material": "copper", "load": shear}))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"format": "comsol"}, "damask, abaqus, vtk, mtex"),
        ({"material": None}, "give material="),
        ({"grains": 1}, "do not make a volume"),
        ({"strain": -1.0}, "strain = -1"),
        ({"strengths": [1.0, 2.0]}, "a positive one for each of"),
        ({"strengths": [1.0, 2.0, np.inf, 1.0]}, "NaN or infinity"),
    ],
)
def test_bad_input(tmp_path, change, words):
    """One line each, and nothing is written."""
    with pytest.raises(ParameterError, match=words):
        design.export(DESIGN, tmp_path / "x", **({"format": "damask"} | SMALL | change))
    assert not (tmp_path / "x" / "material.yaml").exists()
    with pytest.raises(ParameterError, match="TextureDesign or a Specimen"):
        design.export("no design", tmp_path, format="vtk")


def test_a_design_as_a_data_set(tmp_path):
    """Deformed, looked at, described: it opens like any data set, its grains are of the design's texture, its
    law begins at the strengths of the design; a measured map is refused.
    """
    c_along_z = np.array([[1.0, 0, 0, 0]])
    own = {"quaternions": c_along_z, "weights": np.ones(1), "strengths": np.array([20.0, 80, 90, 35])}
    one = replace(DESIGN, sample_symmetry="triclinic", **own)
    options = {"format": "dataset", "material": "magnesium_az31", "strain": 0.01, "cells": 12, "seed": 3}
    (path,) = design.export(one, tmp_path / "sheet", **options)
    dataset = cpml.load_dataset(path)
    ebsd = cpml.microscopy.read_map(dataset.files["ebsd"], hex_x_axis=dataset.phase().hex_x_axis)
    seen = ebsd.orientations.data[ebsd.phase > 0]
    angle = np.degrees(disorientation_angle(seen, c_along_z[0], proper_group("622")))
    assert np.nanmedian(angle) < 3.0
    recipe = json.loads((tmp_path / "sheet" / "recipe.json").read_text())
    assert recipe["strengths"] == [20.0, 80.0, 90.0, 35.0]
    assert design.export(one, tmp_path / "sheet", **options) == [path]  # it is there already
    with pytest.raises(ParameterError, match="data set already"):
        design.export(object(), tmp_path / "other", **options)
    with pytest.raises(ParameterError, match="give material="):
        design.export(one, tmp_path / "other", format="dataset")
