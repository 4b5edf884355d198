"""A hardening law that begins at given strengths.

Voce and saturation laws rise from whatever strengths they are given. Dislocation densities have strengths of
their own: what is asked for beyond them is friction; below them friction goes first, then dislocations,

    tau >= tau_start - tau0     tau0 + (tau - tau_start) in place of tau0
    tau < tau_start - tau0      no friction, rho [tau/(tau_start - tau0)]^2 in place of rho

as Taylor's relation between strengths and densities has it.
"""

from dataclasses import replace

import torch
from torch import Tensor

from cpml.plasticity.laws.strength.back_stress import BackStress
from cpml.plasticity.laws.strength.hardening import Hardening
from cpml.plasticity.laws.strength.kocks_mecking import KocksMecking


def begin_at(hardening: Hardening, strength: Tensor) -> Hardening:
    """The law whose state begins at strengths (S,), MPa; differentiable in them where they are higher than
    its own.
    """
    if isinstance(hardening, BackStress):
        return replace(hardening, hardening=begin_at(hardening.hardening, strength))
    if not isinstance(hardening, KocksMecking):
        return hardening
    own = hardening.start(strength[None])["strength"][0].detach()
    friction = hardening.tau0.detach()
    forest = (own - friction).clamp(min=1e-300)
    extra = strength - own
    is_less = (extra.detach() + friction) < 0
    thinner = torch.where(is_less, (strength.detach() / forest).clamp(min=1e-6) ** 2, 1.0)
    return replace(
        hardening,
        tau0=torch.where(is_less, 0.0, friction + extra),
        density=hardening.density * thinner,
    )
