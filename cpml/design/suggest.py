"""The one door of design: what is asked, of which material, judged by what."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from numpy.typing import NDArray

from cpml.crystallography.materials import ROOM, Material, load_material
from cpml.design.from_map import Learned, Tested, learned_law
from cpml.design.goals import goals_of
from cpml.design.microstructure import microstructure_of
from cpml.design.routes import Route
from cpml.design.search.path_design import design_path
from cpml.design.texture import KEYS, TextureDesign, law_of, plain_design
from cpml.design.verify.chance import check_chance, with_chance
from cpml.design.verify.volumes import VOLUMES, with_field
from cpml.errors import ParameterError
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.laws.strength.from_material import material_hardening
from cpml.plasticity.laws.strength.hardening import Hardening, NoHardening
from cpml.plasticity.laws.thermal.over_temperature import at_conditions
from cpml.safe_yaml import read_yaml

ROUTES = ("taylor", "affine", "full field")


def suggest(
    target: Mapping[str, object] | str | Path,
    *,
    material: str | Path | Material | None = None,
    law: PowerLaw | None = None,
    classifier: Learned | None = None,
    specimen: Tested | None = None,
    grid_deg: float = 10.0,
    sample_symmetry: str = "orthotropic",
    priors: Sequence[str] | None = None,
    verify: bool = True,
    route: str = "taylor",
    hardening: Hardening | None = None,
    temperature: float = 293.0,
    count: int = 5,
    apart: float = 0.2,
    volumes: int = VOLUMES,
    strengths: NDArray | None = None,
    probability: float = 0.9,
    variables: Mapping[str, object] | None = None,
    present: tuple[NDArray, NDArray | None] | None = None,
    seed: int = 0,
) -> TextureDesign:
    """A texture with the wanted properties, and where asked a grain size, twin boundaries, particles or a
    grain shape; or the nearest reachable one with proof that the target is out of reach.

    Parameters
    ----------
    target : properties and what is asked of them (cpml.design.goals), or a YAML file of them: numbers,
        bounds, curves, at strains; tension along x, width y, sheet normal z. Numbers of yield_stress_mpa and
        r_value alone, by Taylor, come with a certificate (cpml.design.texture); everything else goes the way
        of cpml.design.search.path_design. Without an r-value the best of a sweep is taken
    material : name, path or Material; or `law`, a PowerLaw with learned strengths; or `classifier`, fitted,
        with the `specimen` whose test its strengths belong to: these at the start of that test, its material,
        its texture as the first prior, and bounds that hold at draws of the strengths (one of the three)
    grid_deg : spacing of the orientation grid
    priors : textures to stay close to, the first for the main answer, the others for the alternatives; None
        takes every one of the lattice, the random texture first
    verify : solve numbers of the plain kind by other routes (`prove` does it for the others)
    route : what goals over strain are judged by: "taylor"; "affine", the self-consistent path; or "full
        field", a volume of grains of the texture, to 3 % and one design
    hardening, temperature : of paths, K; hardening None: that of the material file, none for a law. A
        material's strengths are taken to the temperature
    count, apart : designs that goals over strain ask for, and the share of the volume in which they differ
    volumes : that a design of the route "full field" is judged by, each some fifteen seconds
    strengths, probability : draws (D, K), MPa, at which bounds shall hold with that probability; the design
        is made at the strengths of the law and keeps a distance from its bounds
    variables : what may change beside the texture, {name: {now, min, max, ...}} (cpml.design.microstructure)
    present : (G, 4) orientations of the texture that there is and their weights, or None: the first prior
    seed : of the discrete texture that the verification draws, and of priors at random

    Returns
    -------
    TextureDesign; `alternatives` are designs for the other priors

    Raises
    ------
    ParameterError : unknown or missing key, a value out of range, bounds that contradict, none or several of
        material, law and classifier
    """
    if route not in ROUTES:
        raise ParameterError(f"route = {route!r}: choose {', '.join(ROUTES)}")
    if (classifier is None) != (specimen is None) or (classifier and (material or law)):
        raise ParameterError("give a classifier with its specimen, or a material, or a law")
    target = read_yaml(Path(target)) if isinstance(target, str | Path) else target
    goals = goals_of(target)
    if classifier is not None and specimen is not None:
        material = specimen.material  # at the conditions of its test
        temperature = specimen.load.temperature or temperature
        own, draws = learned_law(classifier, specimen, seed=seed)
        present = present or (specimen.quaternions, specimen.grains["n_pixels"].to_numpy(float))
        is_bound = route != "full field" and not any(g.is_equality for g in goals)
        strengths = draws if strengths is None and is_bound else strengths
    else:
        if material is not None:
            material = material if isinstance(material, Material) else load_material(material)
            if temperature != ROOM:
                material = at_conditions(material, temperature, material.reference_rate)
        own = law_of(material, law)
    rise = _hardening(material, hardening)
    micro = microstructure_of(variables, material, own.systems)
    if not isinstance(volumes, int) or not 1 <= volumes <= 50:
        raise ParameterError(f"volumes = {volumes!r} must be a whole number from 1 to 50")
    is_plain = route == "taylor" and strengths is None and micro is None and present is None
    if is_plain and all(g.key in KEYS and g.is_equality for g in goals):
        return plain_design(
            {g.key: g.low for g in goals},
            own,
            grid_deg=grid_deg,
            sample_symmetry=sample_symmetry,
            priors=priors,
            verify=verify,
            seed=seed,
        )
    scheme = "taylor" if route == "taylor" else "affine"
    way = Route(
        own,
        rise,
        scheme=scheme,
        temperature=temperature,
        elastic=None if material is None else material.elastic,
    )
    make = partial(
        design_path,
        route=way,
        grid_deg=grid_deg,
        sample_symmetry=sample_symmetry,
        priors=priors,
        count=1 if route == "full field" else count,
        apart=apart,
        seed=seed,
        micro=micro,
        present=present,
    )
    if route == "full field":
        if strengths is not None:
            raise ParameterError("strengths with a probability go with the routes taylor and affine")
        return with_field(make, goals, way, seed=seed, volumes=volumes)
    if strengths is None:
        return make(goals)
    draws = check_chance(goals, strengths, probability, len(own.systems.family_names))
    return with_chance(make, goals, way, draws, probability)


def _hardening(material: Material | None, hardening: Hardening | None) -> Hardening:
    """The one given, else that of the material, else none."""
    if hardening is not None or material is None:
        return hardening or NoHardening()
    return material_hardening(material)
