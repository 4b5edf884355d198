"""A DAMASK 3 job of a sample: material.yaml (Hooke and phenopowerlaw), grid.vti, load.yaml.

SI units (Pa, m, s). The orientation O of a constituent is the quaternion crystal_to_sample (passive sample ->
crystal, DAMASK's convention). Families take the places that DAMASK gives them: of cF slip {111}, of cI {110},
{112}, {123}, of hP basal, prismatic, pyramidal <a>, first- and second-order <c+a>; twins {10-12}, {11-21},
{10-11}, {11-22} of hP. Numbers are those of the sample; hardening is written where the material file has
DAMASK's own law (saturation), else h_0 = 0 with a comment. A latent ratio is written for all pairs of
different planes of cF; for cI and hP all pairs harden alike. Twins harden there without an end: their slope
is that at the start of flow.

Reference: Roters et al. 2019, Comput. Mater. Sci. 158:420; documentation of DAMASK 3.0.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from cpml.design.decks.sample import Sample, uniaxial
from cpml.errors import ParameterError
from cpml.files import write_atomic
from cpml.load import Load
from cpml.plasticity.field_path.output import write_vti

LATTICE = {"fcc": "cF", "bcc": "cI", "hcp": "hP"}
SLIP = {
    "fcc": ("octahedral",),
    "bcc": ("110", "112", "123"),
    "hcp": ("basal", "prismatic", "pyramidal1_a", "pyramidal1_ca", "pyramidal2_ca"),
}
TWINS = {"fcc": ("twin",), "bcc": ("twin",), "hcp": ("twin_1012", "twin_1121", "twin_1011", "twin_1122")}
_INTERACTIONS = 100  # numbers of an interaction list: more than any lattice has classes
_PA = 1e6


def write_job(sample: Sample, folder: Path, *, strain: float, increments: int) -> list[Path]:
    """The three files, in a folder; their paths."""
    material = write_atomic(
        folder / "material.yaml", lambda p: p.write_text(_material(sample), encoding="utf-8")
    )
    grid = write_vti(
        folder / "grid.vti",
        sample.grain_index,
        tuple(1e-6 * s for s in sample.step),
        {"material": sample.grain_index.astype(np.int64)},
    )
    load = write_atomic(
        folder / "load.yaml",
        lambda p: p.write_text(_load(sample.load, strain, increments), encoding="utf-8"),
    )
    return [material, grid, load]


def _material(sample: Sample) -> str:
    content = {
        "homogenization": {"SX": {"N_constituents": 1, "mechanical": {"type": "pass"}}},
        "phase": {sample.material.name: _phase(sample)},
        "material": [
            {
                "homogenization": "SX",
                "constituents": [{"phase": sample.material.name, "v": 1.0, "O": [float(v) for v in q]}],
            }
            for q in sample.quaternions
        ],
    }
    law = sample.material.hardening.get("law", "none")
    note = "" if law == "saturation" else f"# hardening law {law!r} has no counterpart here: h_0 = 0\n"
    return note + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)


def _phase(sample: Sample) -> dict:
    material = sample.material
    if not material.elastic:
        raise ParameterError(f"material {material.name!r} has no elastic constants, which a DAMASK job needs")
    places, twins = SLIP[material.lattice], TWINS[material.lattice]
    missing = [name for name in material.families if name not in (*places, *twins)]
    if missing:
        raise ParameterError(
            f"DAMASK has no place for the families {', '.join(missing)} of {material.lattice}"
        )
    strength = dict(zip(material.families, sample.strengths.tolist(), strict=True))
    plastic: dict = {"type": "phenopowerlaw", "output": ["xi_sl", "gamma_sl"]}
    plastic |= _of_kind(sample, list(places), strength, "sl")
    if any(name in strength for name in twins):
        plastic["output"] += ["xi_tw", "gamma_tw"]
        plastic |= _of_kind(sample, list(twins), strength, "tw")
        slope = plastic["h_0_tw-tw"]
        plastic |= {"h_0_tw-sl": list(slope), "h_tw-sl": [1.0] * _INTERACTIONS, "c_3": 0.0, "c_4": 0.0}
        plastic |= {"h_sl-tw": [0.0] * _INTERACTIONS, "f_sat_sl-tw": [0.0] * len(plastic["N_sl"])}
    phase: dict = {"lattice": LATTICE[material.lattice]}
    if material.c_over_a:
        phase["c/a"] = float(material.c_over_a)
    elastic = {"type": "Hooke"} | {f"C_{k[1:]}": _PA * float(v) for k, v in material.elastic.items()}
    return phase | {
        "mechanical": {"output": ["F", "P", "F_e", "F_p", "L_p", "O"], "elastic": elastic, "plastic": plastic}
    }


def _of_kind(sample: Sample, places: list[str], strength: dict[str, float], kind: str) -> dict:
    """Numbers of slip or twin families in DAMASK's places, up to the last one that is there."""
    last = max(k for k, name in enumerate(places) if name in strength) + 1
    places = places[:last]
    material, block = sample.material, sample.material.hardening
    systems = material.systems()
    count = dict(zip(systems.family_names, np.bincount(systems.family).tolist(), strict=True))
    hardens = block.get("law") == "saturation"

    def value(name: str, key: str) -> float:
        found = block[key][name] if isinstance(block[key], dict) else block[key]
        return float(found)

    def each(there: Callable[[str], float], absent: float = 0.0) -> list[float]:
        return [there(name) if name in strength else absent for name in places]

    factor = {name: strength[name] / material.families[name].strength for name in strength}

    def slope(name: str) -> float:
        """h_0, Pa; of twins, which do not saturate there, the slope at the start."""
        if not hardens:
            return 0.0
        left = 1.0
        if kind == "tw":
            start = material.families[name].strength / value(name, "saturation_mpa")
            left = max(1 - start, 0.0) ** value(name, "exponent")
        return _PA * factor[name] * value(name, "h0_mpa") * left

    rows = {
        f"N_{kind}": [count.get(name, 0) for name in places],
        f"xi_0_{kind}": each(lambda n: _PA * strength[n]),
        f"n_{kind}": each(lambda n: float(material.n), 1.0),
        f"dot_gamma_0_{kind}": each(lambda n: float(material.reference_rate)),
        f"h_0_{kind}-{kind}": each(slope),
        f"h_{kind}-{kind}": _interactions(sample, kind),
    }
    if kind == "sl":
        saturation = each(lambda n: _PA * factor[n] * value(n, "saturation_mpa") if hardens else 1e9)
        rows |= {
            "xi_inf_sl": saturation,
            "a_sl": each(lambda n: value(n, "exponent") if hardens else 1.0, 1.0),
        }
    return rows


def _interactions(sample: Sample, kind: str) -> list[float]:
    latent = sample.material.hardening.get("latent", 1.0)
    if sample.material.lattice == "fcc" and kind == "sl" and isinstance(latent, int | float):
        return [1.0, 1.0, *([float(latent)] * (_INTERACTIONS - 2))]  # self, coplanar, then other planes
    return [1.0] * _INTERACTIONS


def _load(load: Load, strain: float, increments: int) -> str:
    """Uniaxial loads along a sample axis leave the lateral faces free; other loads impose their rate
    direction.
    """
    rows: list[list[object]] = [
        [float(v) for v in row] for row in load.rate * np.asarray(load.rate_direction)
    ]
    mechanical: dict = {"dot_F": rows}
    pulled = uniaxial(load)
    if pulled is not None:
        axis, rate = pulled
        mechanical = {
            "dot_F": [[(rate if i == axis else "x") if i == j else 0.0 for j in range(3)] for i in range(3)],
            "P": [[0.0 if i == j and i != axis else "x" for j in range(3)] for i in range(3)],
        }
    content = {
        "solver": {"mechanical": "spectral_basic"},
        "loadstep": [
            {
                "boundary_conditions": {"mechanical": mechanical},
                "discretization": {"t": float(strain / load.rate), "N": int(increments)},
                "f_out": 1,
            }
        ],
    }
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=110)
