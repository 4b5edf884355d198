"""F = f_CP (*) f_ap: the crystal-plasticity law with strengths, interaction, scatter and a small residual learned together.

    log a_gks = n log(|tau_gks| / xi_k(s)) + g r_gs        tau_gks = P_gs : sigma_gk   (twins: max(tau, 0))
    pi_gkt    = sum_{s in t} softmax_s(log a_gks)           share of the grain's shear on token t (plane or variant)
    p_gt      = 1/K sum_k 1 - exp(-kappa pi_gkt)            probability that the token is active above the visible limit,
                                                            times detection, and mixed with chance, to be recorded

The stress sigma_gk of a grain comes from `cpml.models.localisation` (interaction w between Sachs and Taylor, scatter
s_eta), the footprints enter through `cpml.models.likelihood`, which sums over the candidate planes of a trace, and the
residual r is a small network on contractions of the neighbourhood (zero mean per family, shrunk). Learned by maximum a
posteriori with the literature as prior: strengths xi (log-normal), n, w, s_eta, the rates of the observation model and
the residual. n is the exponent of *accumulated* shear: hardening spreads slip over more systems than the rate exponent
of the law would, so its prior is wide. The gate g is 0 (pure physics, exactly) or 1, whichever predicts held-out blocks
better. Footprints tell strength ratios; the common scale stays with the prior until a stress-strain curve fixes it
(`cpml.models.anchor`).

| symbol | meaning | unit | shape |
|---|---|---|---|
| xi | strength of a family | MPa | (K_f,) |
| n, w | exponent, interaction (0 Sachs, 1 Taylor) | - | scalar |
| s_eta | scatter of the local stress, per component, relative to the mean stress | - | scalar |
| kappa, kappa_t | activity per unit share of the shear, slip and twins | - | scalar |
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator

from cpml.errors import CpmlError, ParameterError
from cpml.models.likelihood import (
    Detection,
    Evidence,
    activity,
    log_likelihood,
    mean_frequency,
    seen_probability,
    token_share,
)
from cpml.models.localisation import Medium
from cpml.models.residual import ResidualHead
from cpml.models.specimen import Specimen

FORMAT = "cpml-coupled-1"
BOUND = 3.0  # prior widths within which parameters are searched
FLOOR = 1e-3  # resolved stress, relative to |Sigma|, below which a system counts as unloaded
# prior centre and width in the log (logit for shares, log(n - 1) for n): wide, dimensionless, the same for every material
PRIORS = {
    "n": (10.0, 0.7), "interaction": (0.5, 1.5), "scatter": (0.15, 0.7), "kappa": (5.0, 1.5), "kappa_twin": (5.0, 1.5),
    "detection": (0.85, 1.0), "false_rate": (0.03, 1.0), "outlier": (0.03, 1.0),
}  # fmt: skip
SHARES = ("interaction", "detection", "outlier")  # between 0 and 1


@dataclass(frozen=True)
class _Data:
    """A specimen turned into tensors once, before the optimiser asks many times."""

    evidence: Evidence
    medium: Medium
    family: torch.Tensor  # (S,) long
    token: torch.Tensor  # (S,) long
    n_tokens: int
    inputs: torch.Tensor  # (G, S, F) of the residual head


class CoupledClassifier(BaseEstimator):
    """The coupled model; scikit-learn conventions, one material per fit.

    Parameters
    ----------
    n_draws : quasi-random draws of the local stress per grain
    residual : "auto" (gate by held-out blocks), True or False
    scatter : False fixes s_eta = 0 (an ablation: strengths then come out biased)
    shrinkage : precision of the residual network's weights
    max_iter : L-BFGS iterations per stage

    Attributes
    ----------
    theta_ : dict of learned values; strengths_ : DataFrame with 90 % intervals; gate_ : 0.0 or 1.0;
    converged_, n_iter_, log_posterior_ : state of the last optimisation; holdout_ : log-likelihoods behind the gate
    """

    name = "coupled"

    def __init__(
        self, *, n_draws: int = 32, residual: bool | str = "auto", scatter: bool = True, shrinkage: float = 4.0,
        max_iter: int = 150, seed: int = 0,
    ):  # fmt: skip
        self.n_draws = n_draws
        self.residual = residual
        self.scatter = scatter
        self.shrinkage = shrinkage
        self.max_iter = max_iter
        self.seed = seed

    def fit(self, specimens: list[Specimen]):
        """Learn strengths, scatter, detection and (if it helps) the residual from the specimens' footprints.

        Without any footprint the posterior is the prior: the literature speaks alone.

        Raises
        ------
        CpmlError : specimens of different materials
        """
        families = {s.systems.family_names for s in specimens}
        if len(families) != 1:
            raise CpmlError(
                f"specimens with different families {sorted(families)}: fit one material at a time"
            )
        self.material_ = specimens[0].material
        self.family_names_ = specimens[0].systems.family_names
        self.head_ = ResidualHead.like(specimens, seed=self.seed)
        data = [self._data(s) for s in specimens]
        self.frequency_ = mean_frequency([d.evidence for d in data])
        self.gate_, self.holdout_ = float(self.residual is True), {}
        if self.residual == "auto" and sum(d.evidence.count for d in data):
            self._choose_gate(specimens, data)
        start = self._optimise(data, self._start(), gate=0.0)
        theta = self._optimise(data, start, gate=1.0) if self.gate_ else start
        self.vector_ = theta
        self.theta_ = self._named(theta)
        self.strengths_ = self._intervals(data, theta)
        return self

    def predict(self, specimen: Specimen) -> pd.DataFrame:
        """Probability of every token of every grain.

        Returns
        -------
        DataFrame grain_id, mechanism, target, family, p, p_cp, p_active, share, model: p that a footprint is recorded,
        p_cp the same of the law without scatter and residual, p_active that the token is active at all (recorded or
        not), share the expected share of the grain's shear
        """
        self._check(specimen)
        data = self._data(specimen)
        with torch.no_grad():
            theta = self._unpack(self.vector_)
            share = self._share(data, theta, self.gate_)
            plain = self._share(data, {**theta, "scatter": torch.zeros(())}, 0.0)
            n_planes = data.evidence.visible.shape[1]
            active, active_cp = (activity(x, n_planes, _rates(theta)).mean(1) for x in (share, plain))
            p, p_cp = (
                seen_probability(x, n_planes, _rates(theta), self.frequency_).numpy()
                for x in (active, active_cp)
            )
        return specimen.predictions(
            p, model=self.name, p_cp=p_cp, p_active=active.numpy(), share=share.mean(1).numpy()
        )

    def log_likelihood(self, specimen: Specimen) -> float:
        """Log-likelihood of a specimen's footprints under the fitted model (natural log, all grains)."""
        self._check(specimen)
        with torch.no_grad():
            return float(self._grain_log_likelihood(self._data(specimen), self.vector_, self.gate_).sum())

    def save(self, path: Path) -> None:
        """Write the fitted model as JSON text (no pickle)."""
        content = {
            "format": FORMAT,
            "parameters": self.get_params(),
            "families": list(self.family_names_),
            "material": self.material_.name,
            "gate": self.gate_,
            "frequency": list(self.frequency_),
            "vector": self.vector_.tolist(),
            "head": self.head_.to_dict(),
            "strengths": self.strengths_.to_dict(orient="list"),
        }
        Path(path).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path, material) -> "CoupledClassifier":
        """Read a model written by :meth:`save`; ``material`` supplies the priors it was trained with.

        Raises
        ------
        CpmlError : another format or version, or another material
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != FORMAT or content["material"] != material.name:
                raise CpmlError(
                    f"{path}: written as {content['format']} for {content['material']}, expected {FORMAT} for {material.name}"
                )
            model = cls(**content["parameters"])
            model.material_, model.family_names_ = material, tuple(content["families"])
            model.frequency_ = tuple(content["frequency"])
            model.gate_, model.head_ = content["gate"], ResidualHead.from_dict(content["head"])
            model.vector_ = torch.tensor(content["vector"], dtype=torch.float64)
            model.strengths_ = pd.DataFrame(content["strengths"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CpmlError(f"{path}: not a saved coupled model ({type(error).__name__}: {error})") from None
        model.theta_ = model._named(model.vector_)
        return model

    # -- parameters ----------------------------------------------------------------------------------------------

    @property
    def _n_base(self) -> int:
        return len(self.family_names_) + len(PRIORS)

    def _start(self) -> torch.Tensor:
        shape = [
            _to_line(name, torch.tensor(centre, dtype=torch.float64)) for name, (centre, _) in PRIORS.items()
        ]
        return torch.cat(
            [torch.log(torch.tensor(self.material_.strengths)), torch.stack(shape), self.head_.initial()]
        )

    def _unpack(self, vector: torch.Tensor) -> dict[str, torch.Tensor]:
        n = len(self.family_names_)
        theta = {"log_strength": vector[:n]}
        theta |= {name: _from_line(name, vector[n + i]) for i, name in enumerate(PRIORS)}
        if not self.scatter:
            theta["scatter"] = theta["scatter"] * 0.0
        return theta | {"head": vector[self._n_base :]}

    def _named(self, vector: torch.Tensor) -> dict[str, float]:
        theta = self._unpack(vector)
        strengths = {
            f"strength_{f}_mpa": float(torch.exp(x))
            for f, x in zip(self.family_names_, theta["log_strength"], strict=True)
        }
        return strengths | {name: float(theta[name]) for name in PRIORS}

    def _log_prior(self, vector: torch.Tensor) -> torch.Tensor:
        centre = self._start()[: self._n_base]
        z = (vector[: self._n_base] - centre) / torch.tensor(self._prior_width())
        return -0.5 * (z**2).sum() - 0.5 * self.shrinkage * (vector[self._n_base :] ** 2).sum()

    # -- the law -------------------------------------------------------------------------------------------------

    def _data(self, specimen: Specimen) -> _Data:
        return _Data(
            Evidence.of(specimen),
            Medium.of(specimen, n_draws=self.n_draws, seed=self.seed),
            torch.tensor(specimen.systems.family),
            torch.tensor(specimen.token),
            len(specimen.tokens),
            self.head_.inputs(specimen),
        )

    def _share(self, data: _Data, theta: dict[str, torch.Tensor], gate: float) -> torch.Tensor:
        """Share (G, K, T) of the grain's shear on every token."""
        # stress and shares depend on strength ratios alone; the common scale is divided out for the solver's sake
        relative = theta["log_strength"] - float(np.log(self.material_.strengths).mean())
        log_strength = relative[data.family]
        stress, self.localised_ = data.medium.local_stress(
            log_strength, theta["n"], theta["interaction"], theta["scatter"]
        )
        tau = torch.einsum("gsi,gki->gks", data.medium.schmid, stress)
        loaded = torch.where(data.medium.twin, torch.clamp(tau, min=0.0), tau)
        log_activity = theta["n"] * (0.5 * torch.log(loaded**2 + FLOOR**2) - log_strength)
        if gate:
            residual = self.head_(theta["head"], data.inputs, data.family)
            log_activity = log_activity + gate * residual[:, None, :]
        return token_share(log_activity, data.token, data.n_tokens)

    def _grain_log_likelihood(self, data: _Data, vector: torch.Tensor, gate: float) -> torch.Tensor:
        theta = self._unpack(vector)
        return log_likelihood(self._share(data, theta, gate), data.evidence, _rates(theta))

    # -- learning ------------------------------------------------------------------------------------------------

    def _optimise(self, data: list[_Data], start: torch.Tensor, *, gate: float) -> torch.Tensor:
        """Maximum a posteriori by bounded L-BFGS; without the gate the head's weights stay where they start."""
        free = len(start) if gate else self._n_base
        centre = self._start().numpy()[:free]
        # in units of the prior width every direction is about equally stiff, so the first step is a sane one
        width = np.full(free, self.shrinkage**-0.5)
        width[: self._n_base] = self._prior_width()

        def cost(z: np.ndarray) -> tuple[float, np.ndarray]:
            x = torch.tensor(centre + width * z, requires_grad=True)
            vector = torch.cat([x, start[free:]])
            value = -self._log_prior(vector) - sum(
                self._grain_log_likelihood(d, vector, gate).sum() for d in data
            )
            value.backward()
            return value.item(), width * x.grad.numpy()

        bounds = np.full((free, 2), (-BOUND, BOUND))
        bounds[self._n_base :] = (-np.inf, np.inf)
        options = {"maxiter": self.max_iter, "ftol": 1e-9, "gtol": 1e-4}
        z = (start[:free].numpy() - centre) / width
        found = minimize(cost, z, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        if not np.isfinite(found.fun):
            raise CpmlError(
                f"training diverged (log posterior {-found.fun}): check load and labels of the specimens"
            )
        self.n_iter_, self.log_posterior_ = int(found.nit), -float(found.fun)
        self.converged_ = bool(found.success) and self.localised_
        return torch.cat([torch.tensor(centre + width * found.x), start[free:]])

    def _prior_width(self) -> np.ndarray:
        return np.concatenate([self.material_.log_spreads, [w for _, w in PRIORS.values()]])

    def _choose_gate(self, specimens: list[Specimen], data: list[_Data]) -> None:
        """Open the gate only if the residual helps on blocks that it has not seen, by more than one standard error."""
        halves = [_spatial_half(s) for s in specimens]
        known = [self._data(s.with_labels_of(s.grain_ids[h])) for s, h in zip(specimens, halves, strict=True)]
        held = [torch.tensor(~h) for h in halves]
        if sum(d.evidence.count for d in known) == 0:
            return
        plain = self._optimise(known, self._start(), gate=0.0)
        opened = self._optimise(known, plain, gate=1.0)
        with torch.no_grad():
            gains = [
                self._grain_log_likelihood(d, opened, 1.0) - self._grain_log_likelihood(d, plain, 0.0)
                for d in data
            ]
        gain = torch.cat([g[h] for g, h in zip(gains, held, strict=True)])
        error = float(gain.std() * len(gain) ** 0.5)
        self.holdout_ = {"residual_gain_nats": float(gain.sum()), "standard_error_nats": error}
        self.gate_ = float(float(gain.sum()) > error)

    def _intervals(self, data: list[_Data], vector: torch.Tensor) -> pd.DataFrame:
        """Strengths with 90 % intervals from the curvature of the log posterior (Laplace)."""
        hessian = self._hessian(data, vector)
        value, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
        # the prior alone bounds the curvature from below; smaller values are rounding or a ridge
        covariance = ((vectors / value.clamp(min=1e-2)) @ vectors.T).numpy()
        log_xi = vector[: len(self.family_names_)].numpy()
        prior = np.log(self.material_.strengths)
        reference = self._reference_family()
        rows = []
        for i, family in enumerate(self.family_names_):
            step = np.zeros(len(covariance))
            step[i] += 1.0
            step[reference] -= 1.0
            sd, prior_sd = (
                np.sqrt(step @ covariance @ step),
                np.hypot(*(self.material_.log_spreads[[i, reference]])) * (i != reference),
            )
            ratio, prior_ratio = log_xi[i] - log_xi[reference], prior[i] - prior[reference]
            rows.append((family, np.exp(log_xi[i]), np.exp(prior[i]), *np.exp(ratio + 1.645 * sd * np.array([0, -1, 1])),
                         *np.exp(prior_ratio + 1.645 * prior_sd * np.array([0, -1, 1]))))  # fmt: skip
        names = [
            "family",
            "strength_mpa",
            "literature_mpa",
            "ratio",
            "ratio_low",
            "ratio_high",
            "prior_ratio",
            "prior_low",
            "prior_high",
        ]
        table = pd.DataFrame(rows, columns=names)
        return table.assign(reference=self.family_names_[reference])

    def _hessian(self, data: list[_Data], vector: torch.Tensor, *, step: float = 1e-3) -> torch.Tensor:
        """Curvature of the negative log posterior in the base parameters, by central differences of its gradient.

        The gradient through the localisation is exact to first order only (implicit function theorem), so it is not
        differentiated a second time by autograd.
        """
        n = self._n_base

        def gradient(base: torch.Tensor) -> torch.Tensor:
            base = base.clone().requires_grad_(True)
            full = torch.cat([base, vector[n:]])
            cost = -self._log_prior(full) - sum(
                self._grain_log_likelihood(d, full, self.gate_).sum() for d in data
            )
            return torch.autograd.grad(cost, base)[0]

        base, shifts = vector[:n], step * torch.eye(n, dtype=vector.dtype)
        return torch.stack([(gradient(base + e) - gradient(base - e)) / (2 * step) for e in shifts])

    def _reference_family(self) -> int:
        """The family to which ratios refer: the softest slip family of the literature."""
        kinds = [self.material_.families[f].kind for f in self.family_names_]
        strength = np.where(np.array(kinds) == "slip", self.material_.strengths, np.inf)
        return int(strength.argmin())

    def _check(self, specimen: Specimen) -> None:
        if not hasattr(self, "vector_"):
            raise ParameterError("the coupled model is not fitted: call fit(specimens) first")
        if specimen.systems.family_names != self.family_names_:
            raise CpmlError(
                f"specimen {specimen.name!r} has families {specimen.systems.family_names}, the model knows {self.family_names_}"
            )


def _to_line(name: str, value: torch.Tensor) -> torch.Tensor:
    """Positive numbers by the logarithm, shares by the logit; n stays above 1, where the law is convex."""
    value = value - (1.0 if name == "n" else 0.0)
    return torch.logit(value) if name in SHARES else torch.log(value)


def _from_line(name: str, value: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(value) if name in SHARES else torch.exp(value) + (1.0 if name == "n" else 0.0)


def _rates(theta: dict[str, torch.Tensor]) -> Detection:
    return Detection(
        theta["kappa"], theta["kappa_twin"], theta["detection"], theta["false_rate"], theta["outlier"]
    )


def _spatial_half(specimen: Specimen) -> np.ndarray:
    """(G,) bool, a chequerboard of 4 x 4 tiles: two spatially blocked halves of the map."""
    tiles = []
    for axis in ("x_um", "y_um"):
        rank = specimen.grains[axis].rank(method="first").to_numpy() - 1
        tiles.append((4 * rank / len(specimen)).astype(int))
    return (tiles[0] + tiles[1]) % 2 == 0
