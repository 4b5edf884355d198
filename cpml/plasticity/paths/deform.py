"""Deformation paths: strain increments of a polycrystal with hardening, texture,
grain shape and twin reorientation.

Step k: solve the mean field at the present state, dt = increment / |D_control|, then (1) twins (fractions,
PTR), (2) orientations, (3) mean grain shape, (4) strengths: all explicit, with the rates of the solution. Row
k of the result is the state solved after k increments, so there are steps + 1 rows. Symbols:
cpml.plasticity.paths.path.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from cpml.errors import ParameterError
from cpml.load import Load
from cpml.plasticity.arguments import Values, as_matrices
from cpml.plasticity.crystal.conditions import Conditions
from cpml.plasticity.laws.law import GlideLaw
from cpml.plasticity.laws.strength.hardening import Hardening, NoHardening
from cpml.plasticity.laws.thermal.cross_slip import CrossSlip
from cpml.plasticity.laws.together import Together, glide_of
from cpml.plasticity.laws.twins.reorientation import Reorientation
from cpml.plasticity.laws.twins.twin_nucleation import TwinNucleation
from cpml.plasticity.laws.twins.volume_transfer import VolumeTransfer
from cpml.plasticity.paths.path import Path
from cpml.plasticity.paths.stepping import CONTROLS, PathSolver
from cpml.plasticity.polycrystal.eshelby import QUADRATURE
from cpml.plasticity.polycrystal.response import normalised
from cpml.plasticity.polycrystal.schemes import RELAXED, SCHEMES, Settings, check_shape

Loading: TypeAlias = Load | Conditions | Values


def deform(
    law: GlideLaw | Together,
    hardening: Hardening | None,
    orientations: Values,
    *,
    loading: Loading | Callable[[int], Loading],
    weights: Values | None = None,
    increment: ArrayLike,
    steps: int,
    control: str = "von_mises",
    scheme: str = "taylor",
    n_eff: float | None = None,
    relaxed: tuple[str, ...] = RELAXED,
    lateral: str = "axisymmetric",
    reorientation: Reorientation | VolumeTransfer | None = None,
    nucleation: TwinNucleation | None = None,
    cross_slip: CrossSlip | None = None,
    shape: ArrayLike | None = None,
    update_shape: bool = False,
    update_texture: bool = True,
    temperature: float | None = None,
    rate_insensitive: bool = False,
    unconverged: str = "warn",
    tol: float = 1e-9,
    quadrature: tuple[int, int] | str = QUADRATURE,
    threads: int = 1,
    device: torch.device | str | None = None,
) -> Path:
    """Deform a polycrystal.

    Parameters
    ----------
    law : PowerLaw, ThermalGlide, or Together of one of them with climb; its strengths (ThermalGlide: passing
        stresses) are the initial ones
    hardening : Voce, Saturation, KocksMecking, TwinFraction, NoHardening or any record with start
        and harden; None = no hardening
    orientations, weights, scheme, n_eff, relaxed, lateral, tol, quadrature,
        threads, device : as in mean_field
    loading : Conditions, Load or strain rate; or a function of the step number that returns one
    increment, steps, control : strain per step (one number, or one for each step) of the control component
        ("von_mises", or "11", "22", "33", "23", "13", "12": a tensor component of D), and number of steps
    reorientation : what twins do to the lattice: Reorientation turns whole grains, VolumeTransfer makes every
        twin a grain of its own, which may detwin; None only accumulates the fractions
    nucleation : twins begin at boundaries by chance (TwinNucleation); None: wherever they are strong enough
    cross_slip : exchange of screws between planes: its share is recorded, and dislocation densities, where
        the hardening has them, move with it; needs a temperature
    shape, update_shape : initial mean ellipsoid (3, 3) and whether it follows the strain
    temperature : K, for hardening that depends on it; None takes that of the law, where it has one
    rate_insensitive : reference rate = Frobenius norm of D, so that stresses do not depend on the rate
    unconverged : what a row does whose solution is not one: "warn" goes on (see `converged` of the path and
        of its table), "stop" raises

    Raises
    ------
    ParameterError : as mean_field; a control component that does not move; an increment that is not positive;
        a law of one temperature in a path of another
    CpmlError : a row that did not converge, where the path is to stop
    """
    sizes = np.asarray(increment, float)
    if (
        not (isinstance(steps, int) and steps >= 0)
        or not np.all(np.isfinite(sizes) & (sizes > 0))
        or (sizes.ndim and sizes.shape != (steps,))
    ):
        raise ParameterError(
            f"increment = {sizes} must be positive, one number or one for each of steps = {steps}, a "
            "whole number"
        )
    if control not in CONTROLS and control != "von_mises":
        raise ParameterError(f"control = {control!r}: choose von_mises, {', '.join(CONTROLS)}")
    if scheme == "sachs" or scheme not in SCHEMES:
        raise ParameterError(
            f"scheme {scheme!r} has no path; choose from {', '.join(s for s in SCHEMES if s != 'sachs')}"
        )
    if unconverged not in ("warn", "stop"):
        raise ParameterError(f"unconverged = {unconverged!r}: choose warn or stop")
    temperature = path_temperature(law, temperature)
    if cross_slip is not None and (
        temperature is None or cross_slip.systems.names != glide_of(law).systems.names
    ):
        raise ParameterError("cross_slip needs the temperature of the path and the systems of its law")
    if nucleation is not None and nucleation.systems.names != glide_of(law).systems.names:
        raise ParameterError("nucleation needs the systems of the law")
    settings = Settings(scheme, n_eff, relaxed, lateral, tol, quadrature, threads, device)
    settings.check(loading(0) if callable(loading) else loading, law)
    if callable(loading):
        conditions = [Conditions.of(loading(k), lateral) for k in range(steps + 1)]
    else:
        conditions = [Conditions.of(loading, lateral)] * (steps + 1)
    matrices = as_matrices(orientations).reshape(-1, 3, 3)
    run = PathSolver(
        law,
        hardening or NoHardening(),
        normalised(weights, len(matrices)),
        settings,
        control,
        rules=reorientation or Reorientation(glide_of(law).systems),
        reorients=reorientation is not None,
        nucleation=nucleation,
        cross_slip=cross_slip,
        update_shape=update_shape,
        update_texture=update_texture,
        temperature=temperature,
        rate_insensitive=rate_insensitive,
        stops=unconverged == "stop",
    )
    return run(matrices, conditions, np.broadcast_to(sizes, (steps,)), check_shape(shape))


def path_temperature(law: GlideLaw | Together, temperature: float | None) -> float | None:
    """The temperature of a path, K: the one given, or that of the law.

    Raises
    ------
    ParameterError : parts of the law, or the law and the path, at different temperatures
    """
    parts = law.laws if isinstance(law, Together) else (law,)
    given = (getattr(part, "temperature", None) for part in parts)
    known = {float(t) for t in given if t is not None and np.size(t) == 1}
    if temperature is not None:
        known.add(float(temperature))
    if len(known) > 1:
        raise ParameterError(
            f"temperatures of {', '.join(f'{t:g} K' for t in sorted(known))} in one path: make the law at "
            "the temperature of the path"
        )
    return known.pop() if known else None
