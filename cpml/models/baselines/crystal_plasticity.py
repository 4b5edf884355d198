"""The crystal-plasticity law alone: what the physics half says without learning, and with
its strengths fitted to labels.

    pi_gt = share of the grain's shear on token t by the mean field (Sachs, Taylor,
    or self-consistent, here affine)
    p_gt  = e + (1 - 2 e) (1 - exp(-kappa_m pi_gt)),    e = 1e-3, one kappa per mechanism m (slip, twin)

With ``fitted`` the strengths xi_k and the exponent n are learned together with kappa by maximum a posteriori:
Bernoulli likelihood of the observed planes and variants, log-normal priors (xi: the material file's spread;
n: a factor of two), gradient through the mean field, L-BFGS. One strength stays where it is, since only
ratios matter. No latent stress, no candidate sets.

The schemes of the neighbourhood, "full_field" (columns under the map), "depth" and "learned", take the
literature's strengths: what the mechanics of the coupled model is worth alone. Their score is the share times
the grain's total shear.

The shares of the literature are those of notebook 03 (``Specimen.cp``); a scheme
that is not there is solved here.
"""

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize

from cpml.errors import CpmlError
from cpml.models.baselines.simple import PerMechanism, observed, twin_tokens
from cpml.models.mechanics.features import full_field_shear, scheme_shear, share_of_tokens
from cpml.models.specimen.specimen import Specimen
from cpml.plasticity.laws.law import PowerLaw
from cpml.plasticity.polycrystal.mean_field import mean_field

OF_NEIGHBOURS = ("full_field", "depth", "learned")
"""Schemes that are solved at the literature's strengths alone."""
CLIP = 1e-3
N_SPREAD = 0.7  # prior standard deviation of ln(n - 1)
LOG_KAPPA = (1.6, 1.5)  # prior mean and standard deviation of ln kappa
BOUND = 3.0  # prior widths within which parameters are searched


def activity(share, kappa):
    """Probability of a token to be seen, between CLIP and 1 - CLIP (arrays or tensors)."""
    exp = torch.exp if isinstance(share, torch.Tensor) else np.exp
    return CLIP + (1 - 2 * CLIP) * (1 - exp(-kappa * share))


def token_matrix(specimen: Specimen) -> np.ndarray:
    """(S, T) 1 where a system belongs to a token."""
    return np.eye(len(specimen.tokens))[specimen.token]


def law_share(specimen: Specimen, scheme: str, strengths: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """(G, T) share of the grain's shear on every token under ``strengths`` (K,) MPa and
    exponent ``n``, differentiable.
    """
    law = PowerLaw(specimen.systems, strengths, n, specimen.material.reference_rate)
    field = mean_field(
        law, specimen.quaternions, weights=specimen.weights, loading=specimen.load, scheme=scheme
    )
    return field.activity @ torch.tensor(token_matrix(specimen))


class CrystalPlasticity(PerMechanism):
    """The law alone; ``scheme`` "sachs", "taylor", "affine" (self-consistent), or one of `OF_NEIGHBOURS`;
    strengths of the literature or (not for these) ``fitted``.

    Attributes
    ----------
    ratios_ : Series, family -> strength relative to the softest slip family of the literature; n_ : exponent
    """

    def __init__(self, scheme: str = "taylor", *, fitted: bool = False, max_iter: int = 30):
        self.scheme = scheme
        self.fitted = fitted
        self.max_iter = max_iter

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        return f"cp_{self.scheme}" + ("_fitted" if self.fitted else "")

    def fit(self, specimens: list[Specimen]):
        """Fit kappa, and the strengths and n where they are to be fitted.

        Raises
        ------
        CpmlError : specimens of different families while strengths are fitted
        """
        if self.fitted and self.scheme in OF_NEIGHBOURS:
            raise CpmlError(
                f"scheme {self.scheme} takes the literature's strengths: fitted ones are "
                "what CoupledClassifier learns"
            )
        families = {s.systems.family_names for s in specimens}
        self.log_shift_ = None
        if self.fitted:
            if len(families) > 1:
                raise CpmlError(
                    f"specimens with different families {sorted(families)}: fit one material at a time"
                )
            self.log_shift_ = _fit_law(specimens, self.scheme, self.max_iter)
        material = specimens[0].material
        strengths, n = _law_of(material, self.log_shift_)
        self.ratios_ = pd.Series(
            strengths / strengths[_reference(material)], index=specimens[0].systems.family_names
        )
        self.n_ = n
        return super().fit(specimens)

    def _score(self, specimen):
        if self.scheme == "full_field":
            return full_field_shear(specimen)
        if self.scheme in OF_NEIGHBOURS:
            return scheme_shear(specimen, self.scheme)
        key = f"share_{self.scheme}"
        if self.log_shift_ is None and key in specimen.cp:
            return share_of_tokens(specimen, self.scheme)
        strengths, n = _law_of(specimen.material, self.log_shift_)
        with torch.no_grad():
            return law_share(specimen, self.scheme, torch.tensor(strengths), torch.tensor(n)).numpy()

    def _curve(self, score, y):
        from scipy.optimize import minimize_scalar

        def cost(log_kappa):
            p = activity(score, np.exp(log_kappa))
            return -np.mean(np.where(y == 1, np.log(p), np.log1p(-p))) if len(y) else 0.0

        kappa = float(np.exp(minimize_scalar(cost, bounds=(-4, 6), method="bounded").x))
        return lambda s: activity(s, kappa)


def _reference(material) -> int:
    """The family whose strength stays: the softest slip family of the literature."""
    is_slip = np.array([f.kind == "slip" for f in material.families.values()])
    return int(np.where(is_slip, material.strengths, np.inf).argmin())


def _law_of(material, log_shift: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Strengths (K,) and exponent of the literature, shifted by ``log_shift``
    (K + 1,): ln xi, then ln(n - 1).
    """
    if log_shift is None:
        return material.strengths, material.n
    return material.strengths * np.exp(log_shift[:-1]), float(1 + (material.n - 1) * np.exp(log_shift[-1]))


def _fit_law(specimens: list[Specimen], scheme: str, max_iter: int) -> np.ndarray:
    """(K + 1,) shift of ln strengths and ln(n - 1) that explains the labels best,
    together with one kappa per mechanism.
    """
    material = specimens[0].material
    labels = [torch.tensor(observed(s)) for s in specimens]
    if not any(bool(torch.isfinite(y).any()) for y in labels):
        return np.zeros(len(material.strengths) + 1)
    reference = _reference(material)
    width = np.concatenate([material.log_spreads, [N_SPREAD, LOG_KAPPA[1], LOG_KAPPA[1]]])

    def cost(vector: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.tensor(vector, requires_grad=True)
        x = z * torch.tensor(width)
        strengths = torch.tensor(material.strengths) * torch.exp(x[:-3])
        n = 1 + (material.n - 1) * torch.exp(x[-3])
        kappa = torch.exp(LOG_KAPPA[0] + x[-2:])
        value = 0.5 * (z**2).sum()
        for specimen, y in zip(specimens, labels, strict=True):
            share = law_share(specimen, scheme, strengths, n)
            p = activity(share, torch.where(torch.tensor(twin_tokens(specimen)), kappa[1], kappa[0]))
            known = torch.isfinite(y)
            value = value - torch.where(y[known] == 1, torch.log(p[known]), torch.log1p(-p[known])).sum()
        value.backward()
        return value.item(), np.nan_to_num(np.asarray(z.grad))

    bounds = np.full((len(width), 2), (-BOUND, BOUND))
    bounds[reference] = 0.0
    options = {"maxiter": max_iter, "ftol": 1e-7}
    found = minimize(cost, np.zeros(len(width)), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return (found.x * width)[:-2]
