"""F = f_CP (*) f_ap: the crystal-plasticity law with strengths, localisation, scatter and a
small residual learned together.

    log a_gks = n log(|tau_gks| / xi_k(s)) + g r_gs        tau_gks = P_gs : sigma_gk   (twins: max(tau, 0))
    pi_gkt    = sum_{s in t} softmax_s(log a_gks)           share of the grain's shear on token t (plane or variant)
    p_gt      = 1/K sum_k 1 / (1 + (g0 / (pi_gkt Gamma_g))^beta)      probability that the token is active above the visible
                                                            limit; times detection, and mixed
                                                            with chance, to be recorded

The stress sigma_gk and total shear Gamma_g of a grain come from `cpml.models.mechanics.localisation` (the law solved on
the whole map or in a mean medium, corrections from the neighbours, scatter), the footprints enter through
`cpml.models.coupled.likelihood`, which sums over the candidate planes of a trace, and the residual r is a small
network on contractions of the neighbourhood (zero mean per family, shrunk). Learned by maximum a posteriori
with the literature as prior: strengths xi (log-normal), n, lambda, c, s_eta, the rates of the observation
model and the residual. n is the exponent of *accumulated* shear: hardening spreads slip over more systems
than the rate exponent of the law would, so its prior is wide. The gate g is 0 (pure physics, exactly) or 1,
whichever predicts held-out blocks better. Footprints tell strength ratios; the common scale stays with the
prior until a stress-strain curve fixes it (`cpml.models.coupled.anchor`).

| symbol | meaning | unit | shape |
|---|---|---|---|
| xi | strength of a family | MPa | (K_f,) |
| n, lambda, c | exponent, amplitude of the scheme, corrections from neighbours | - | scalars |
| s_eta | scatter of the local stress, per component, relative to the mean stress | - | scalar |
| g0, beta | visible limit of slip and of twins, its steepness | - | scalars |
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc
from sklearn.base import BaseEstimator
from tqdm import tqdm

from cpml.errors import CpmlError, ParameterError
from cpml.models.coupled.adapted_draws import adapt
from cpml.models.coupled.explanation import explain
from cpml.models.coupled.gate import residual_gate
from cpml.models.coupled.likelihood import mean_frequency, seen_probability
from cpml.models.coupled.outputs import all_levels
from cpml.models.coupled.posterior import (
    BOUND,
    Forward,
    Optimum,
    Posterior,
    correlation_table,
    strength_table,
)
from cpml.models.coupled.prior import Prior, rates
from cpml.models.coupled.residual import ResidualHead
from cpml.models.coupled.storage import read_model, write_model
from cpml.models.mechanics.localisation import SCHEMES, Medium, grid_point
from cpml.models.mechanics.neighbourhood import PULLS
from cpml.models.specimen.specimen import Specimen

COARSE_DRAWS = 32
ADAPTATIONS = 2  # of the draws: at the end of the coarse search, and where that leads
POSTERIOR_DRAWS = 32
ROUNDS = 4  # linearisations of the localisation at most
REACH = 0.6  # of a log strength between two of them


class CoupledClassifier(BaseEstimator):
    """The coupled model; scikit-learn conventions, one material per fit.

    Parameters
    ----------
    scheme : where the grains' stresses come from: "sachs", "taylor", "affine", "full_field", or "auto": the
        full field for specimens with a map, "affine" for others
    edges : False shuts the corrections from neighbours (an ablation; the full field
        knows its neighbours all the same)
    free_surface : no shear stress on the map's surface
    n_draws : quasi-random draws of the local stress per grain; the search begins with COARSE_DRAWS from the
        prior and ends with this number, adapted to each grain (`adapted_draws`); a power of two
    residual : "auto" (gate by held-out blocks), True or False
    scatter : False fixes s_eta = 0 (an ablation: strengths then come out biased)
    shrinkage : precision of the residual network's weights
    max_iter : L-BFGS iterations per stage; a stage ends early where the posterior no longer rises
    warm_start : start from the last fit (or from a loaded model) in place of the literature; the prior stays
    verbose : a progress bar, on terminals only

    Attributes
    ----------
    theta_ : dict of learned values; strengths_ : DataFrame with 90 % intervals; gate_ : 0.0 or 1.0;
    mechanics_converged_ : whether every solution of the scheme behind the localisation converged;
    converged_, n_iter_, log_posterior_ : state of the search, steps over all its stages; holdout_ :
        log-likelihoods behind the gate
    """

    name = "coupled"

    def __init__(
        self, *, scheme: str = "auto", edges: bool = True, free_surface: bool = False, n_draws: int = 128,
        residual: bool | str = "auto", scatter: bool = True, shrinkage: float = 4.0, max_iter: int = 150,
        warm_start: bool = False, verbose: bool = False, seed: int = 0,
    ):  # fmt: skip
        self.scheme = scheme
        self.edges = edges
        self.free_surface = free_surface
        self.n_draws = n_draws
        self.residual = residual
        self.scatter = scatter
        self.shrinkage = shrinkage
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.verbose = verbose
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
        if self.scheme not in ("auto", *SCHEMES):
            raise ParameterError(
                f"scheme {self.scheme!r} is not available; choose from auto, {', '.join(SCHEMES)}"
            )
        head = ResidualHead.like(specimens, seed=self.seed)
        self.prior_ = Prior(
            specimens[0].material, families.pop(), head, self.scatter, self.shrinkage, self.edges
        )
        posterior, optimum = self._search(specimens, self._start())
        self.frequency_ = mean_frequency([d.evidence for d in posterior.data])
        self.gate_, self.holdout_ = float(self.residual is True), {}
        if self.residual == "auto" and posterior.count:
            self.gate_, self.holdout_ = residual_gate(
                specimens, posterior, optimum.vector, max_iter=self.max_iter, reach=REACH
            )
        posterior, optimum = self._polish(specimens, optimum)
        self.vector_, self.log_posterior_ = optimum.vector, optimum.log_posterior
        self.converged_, self.n_iter_ = optimum.converged, optimum.n_iter
        self.mechanics_converged_ = all(d.medium.converged for d in posterior.data)
        self.theta_ = self.prior_.named(self.vector_)
        self.covariance_ = posterior.covariance(self.vector_, gate=self.gate_)
        self.strengths_ = strength_table(self.prior_, self.vector_, self.covariance_)
        return self

    def _start(self) -> torch.Tensor:
        centre = self.prior_.centre()
        if self.warm_start and hasattr(self, "vector_"):
            n = self.prior_.n_base
            if len(self.vector_) < n:
                raise ParameterError(
                    f"warm_start: the last fit has {len(self.vector_)} parameters, this one {n}"
                )
            return torch.cat([self.vector_[:n], centre[n:]])
        return centre

    def _search(self, specimens: list[Specimen], vector: torch.Tensor) -> tuple[Posterior, Optimum]:
        """Maximum without residual; the localisation is linearised again where the search
        ends, until that moves little.
        """
        k, steps = len(self.prior_.families), 0
        for _ in tqdm(
            range(ROUNDS),
            desc="coupled model",
            unit="round",
            leave=False,
            disable=None if self.verbose else True,
        ):
            posterior = self._posterior(specimens, vector, min(COARSE_DRAWS, self.n_draws))
            if not posterior.count:  # nothing to learn from: the prior stays
                return posterior, Optimum(vector, -float(posterior.cost(vector, gate=0.0)), True, 0)
            optimum = posterior.maximise(vector, gate=0.0, max_iter=self.max_iter, reach=REACH)
            steps += optimum.n_iter
            before, vector = grid_point(vector[:k].exp().numpy()), optimum.vector
            if np.array_equal(before, grid_point(vector[:k].exp().numpy())):
                break
        return posterior, replace(optimum, n_iter=steps)

    def _polish(self, specimens: list[Specimen], start: Optimum) -> tuple[Posterior, Optimum]:
        """The last steps to the maximum, with draws adapted to each grain and, where
        its gate is open, the residual.
        """
        vector, steps = start.vector, start.n_iter
        posterior = self._posterior(specimens, vector, self.n_draws)
        if not posterior.count:
            return posterior, start
        options = {"gate": self.gate_, "n_draws": self.n_draws, "seed": self.seed}
        for _ in range(ADAPTATIONS):
            theta = self.prior_.unpack(vector)
            posterior = Posterior(
                self.prior_, tuple(adapt(d, theta, self.prior_.head, **options) for d in posterior.data)
            )
            optimum = posterior.maximise(vector, gate=self.gate_, max_iter=self.max_iter, reach=REACH)
            vector, steps = optimum.vector, steps + optimum.n_iter
        return posterior, replace(optimum, n_iter=steps)

    def predict(self, specimen: Specimen, *, interval: bool = False) -> pd.DataFrame:
        """Probability of every token of every grain, averaged over the
        parameters that explain the footprints.

        Parameters
        ----------
        interval : add 90 % intervals by what the footprints leave open of the
            parameters (draws from the posterior)

        Returns
        -------
        DataFrame grain_id, mechanism, target, family, p, p_cp, p_active, share, shear, model: p that a
        footprint is recorded, p_cp the same of the law without scatter, neighbours' corrections and residual,
        p_active that the token is active at all (recorded or not), share the expected share of the grain's
        shear, shear the expected shear itself (NaN unless the load's strain is known; over the twinning shear
        it is the volume fraction); with ``interval`` also p_low, p_high, p_active_low, ..., shear_high
        """
        data, theta = self.forward(specimen)
        amount = data.medium.taylor * specimen.load.strain if specimen.load.strain else float("nan")
        draws = [self._predict(data, self.prior_.unpack(v), amount) for v in self._posterior_draws()]
        values = {name: np.mean([d[name] for d in draws], axis=0) for name in draws[0]}
        values["p_cp"] = self._predict(data, self._law_alone(theta), amount, gate=0.0)["p"]
        if interval:
            for name in ("p", "p_active", "share", "shear"):
                low, high = np.quantile([d[name] for d in draws], [0.05, 0.95], axis=0)
                values |= {
                    f"{name}_low": np.minimum(low, values[name]),
                    f"{name}_high": np.maximum(high, values[name]),
                }
        return specimen.predictions(values.pop("p"), model=self.name, **values)

    def predict_levels(self, specimen: Specimen) -> pd.DataFrame:
        """Probabilities of single systems, families, slip or twinning at all,
        cross-slip pairs and climb (`outputs`).
        """
        data, _ = self.forward(specimen)
        k, tables = len(self.prior_.families), []
        for vector in self._posterior_draws():
            theta, strengths = self.prior_.unpack(vector), vector[:k].exp().numpy()
            tables.append(
                all_levels(specimen, data, theta, self.prior_.head, gate=self.gate_, strengths=strengths)
            )
        columns = ["p", "p_low", "p_high"]
        return tables[0].assign(
            **dict(zip(columns, np.mean([t[columns] for t in tables], axis=0).T, strict=True))
        )

    def explain(self, specimen: Specimen) -> pd.DataFrame:
        """The chain of causes of every grain and token (`explanation`)."""
        return explain(self, specimen)

    def _predict(
        self, data: Forward, theta, amount: float, gate: float | None = None
    ) -> dict[str, np.ndarray]:
        with torch.no_grad():
            gate = self.gate_ if gate is None else gate
            active, share = (x.mean(1) for x in data.active(theta, self.prior_.head, gate=gate))
            _, log_total = data.medium.local_stress(theta)
            seen = seen_probability(active, data.n_planes, rates(theta), self.frequency_)
            shear = share * log_total.exp()[:, None] * amount
        return {"p": seen.numpy(), "p_active": active.numpy(), "share": share.numpy(), "shear": shear.numpy()}

    def _posterior_draws(self) -> list[torch.Tensor]:
        """Parameter vectors drawn from Laplace's approximation within the bounds of
        the search; the residual's stay.
        """
        n = self.prior_.n_base
        root = np.linalg.cholesky(self.covariance_ + 1e-12 * np.eye(n))
        half = qmc.MultivariateNormalQMC(mean=np.zeros(n), rng=np.random.default_rng(self.seed)).random(
            POSTERIOR_DRAWS // 2
        )
        centre, width = self.prior_.centre()[:n].numpy(), BOUND * self.prior_.width(n)
        drawn = [self.vector_[:n].numpy() + root @ z for z in np.concatenate([half, -half])]
        inside = [np.clip(v, centre - width, centre + width) for v in drawn]
        return [torch.cat([torch.tensor(v), self.vector_[n:]]) for v in inside]

    @staticmethod
    def _law_alone(theta: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The parameters without what is not the law: scatter and corrections from neighbours."""
        return theta | dict.fromkeys(("scatter", *PULLS), torch.zeros((), dtype=torch.float64))

    def log_likelihood(self, specimen: Specimen) -> float:
        """Log-likelihood of a specimen's footprints under the fitted model (natural log, all grains)."""
        self._check(specimen)
        with torch.no_grad():
            posterior = Posterior(self.prior_, (self._forward(specimen, self.vector_),))
            return float(posterior.log_likelihood(self.vector_, gate=self.gate_)[0].sum())

    @property
    def log_evidence(self) -> float:
        """Log of the probability of the training footprints, parameters integrated
        out (Laplace), up to a constant.
        """
        return self.log_posterior_ + 0.5 * float(np.linalg.slogdet(self.covariance_)[1])

    @property
    def correlations_(self) -> pd.DataFrame:
        """Posterior correlations of the parameters."""
        return correlation_table(self.prior_, self.covariance_)

    @property
    def family_names_(self) -> tuple[str, ...]:
        """Families in the order of the strengths."""
        return self.prior_.families

    def save(self, path: Path) -> None:
        """Write the fitted model as JSON text (no pickle)."""
        self._check_fitted()
        write_model(self, path)

    @classmethod
    def load(cls, path: Path, material) -> "CoupledClassifier":
        """Read a model written by :meth:`save`; ``material`` supplies the priors it was trained with.

        Raises
        ------
        CpmlError : another format or version, another material, or a file that is no saved model
        """
        return read_model(cls, path, material)

    def scheme_of(self, specimen: Specimen) -> str:
        """Scheme that gives the stresses of this specimen."""
        if self.scheme != "auto":
            return self.scheme
        return "affine" if specimen.raster is None else "full_field"

    def forward(self, specimen: Specimen) -> tuple[Forward, dict[str, torch.Tensor]]:
        """The specimen as tensors, its localisation solved near the learned
        strengths, and the named parameters.
        """
        self._check(specimen)
        return self._forward(specimen, self.vector_), self.prior_.unpack(self.vector_)

    def _forward(self, specimen: Specimen, vector: torch.Tensor, n_draws: int | None = None) -> Forward:
        """Tensors of a specimen, its localisation solved near the strengths of ``vector``."""
        strengths = vector[: len(self.prior_.families)].exp().numpy()
        options = {"n_draws": n_draws or self.n_draws, "seed": self.seed, "free_surface": self.free_surface}
        medium = Medium.of(specimen, strengths, scheme=self.scheme_of(specimen), **options)
        return Forward.of(specimen, self.prior_.head, medium)

    def _posterior(self, specimens: list[Specimen], vector: torch.Tensor, n_draws: int) -> Posterior:
        return Posterior(self.prior_, tuple(self._forward(s, vector, n_draws) for s in specimens))

    def _check_fitted(self) -> None:
        if not hasattr(self, "vector_"):
            raise ParameterError("the coupled model is not fitted: call fit(specimens) first")

    def _check(self, specimen: Specimen) -> None:
        self._check_fitted()
        if specimen.systems.family_names != self.prior_.families:
            theirs = specimen.systems.family_names
            raise CpmlError(
                f"specimen {specimen.name!r} has families {theirs}, the model knows {self.prior_.families}"
            )
