"""F = f_CP (*) f_ap: the crystal-plasticity law with strengths, localisation and scatter learned together,
and what footprints teach beyond it.

    pi_gks = 1/J sum_j softmax_s [n_s log(|P_gs : (sigma_gk + r zeta_j)| / xi_k(s))]      (`within_grain`)
    pi_gkt = sum_{s in t} pi_gks                  share of the grain's shear on token t (plane or variant)
    p_gt   = sum_k w_gk / (1 + (g0 / (pi_gkt Gamma_g))^beta)

p is the probability that the token is active above the visible limit; above what the map resolves of a twin,
times detection, and mixed with chance, it is the probability to be recorded.

The stress sigma_gk and accumulated shear Gamma_g of a grain come from `cpml.models.mechanics.localisation` (a
mean medium, the law solved on the whole map, or the network that knows what the map does not show), draws of
the stress weigh what they are worth at yield (`at_yield`), the footprints enter through
`cpml.models.coupled.likelihood`, which sums over the candidate planes of a trace, and measured rotations and
strains of the grains through `cpml.models.coupled.motion`. Learned by maximum a posteriori with the
literature as prior: strengths xi (log-normal; means over the strain of the test, `strengths.hardened`), rate
exponents (near the material's), r, what the scheme leaves open, and the rates of the observation models.
Footprints tell strength ratios; the common scale stays with the prior until a stress-strain curve fixes it
(`strengths.anchor`). How much is left to chance is found again on grains that the law has not seen
(`learning.held_out_share`). After the law, boosted trees correct its log odds as far as held-out footprints
ask (`learning.correction`).

| symbol | meaning | unit | shape |
|---|---|---|---|
| xi | strength of a family, mean over the strain | MPa | (K_f,) |
| n | rate exponents of slip and of twins | - | scalars |
| r, zeta | variation of the stress within a grain, relative; fixed normal deviators | - | scalar, (J, 5) |
| lambda, c | amplitude of a mean field, corrections from neighbours | - | scalars |
| s_eta | scatter of the local stress, per component, relative to the mean stress | - | scalar |
| t | trust in a scheme's own scatter, in place of s_eta, lambda and c where there is one | - | scalar |
| g0, beta | visible limits: shear of a plane, volume fraction of a variant; their steepness | - | scalars |
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import qmc
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from cpml.crystallography.materials import Material
from cpml.errors import CpmlError, ParameterError
from cpml.models.coupled.adapted_draws import adapt
from cpml.models.coupled.explanation import explain
from cpml.models.coupled.learning.correction import EVIDENCE, Correction, Told, folds_of, learn
from cpml.models.coupled.learning.correction_inputs import Inputs, correction_inputs
from cpml.models.coupled.learning.held_out_share import held_out_share, law_and_chance
from cpml.models.coupled.likelihood import mean_frequency, seen_probability
from cpml.models.coupled.motion import Measured, predicted, strains_of
from cpml.models.coupled.outputs import all_levels, parents
from cpml.models.coupled.posterior import (
    Forward,
    Optimum,
    Posterior,
    Sheared,
    correlation_table,
    footprints_of_families,
    strength_table,
)
from cpml.models.coupled.prior import EXCUSES, FURTHER, Prior, Theta
from cpml.models.coupled.reports import Reports
from cpml.models.coupled.slow_laws import factors, learn_slow_laws
from cpml.models.coupled.storage import read_model, write_model
from cpml.models.coupled.strengths.hardened import expected_rise, strength_history
from cpml.models.coupled.strengths.marginals import normal_quantiles, ratio_quantiles, sampled_quantiles
from cpml.models.coupled.strengths.model_error import with_model_error
from cpml.models.coupled.strengths.sampling import sample
from cpml.models.mechanics.grain_stress import SCHEMES, UNCERTAIN, grain_state, scheme_for
from cpml.models.mechanics.localisation import Localisation, grid_point
from cpml.models.mechanics.neighbourhood import PULLS
from cpml.models.numerics import STANDARD, Numerics
from cpml.models.specimen.specimen import TILES, Specimen


class CoupledClassifier(BaseEstimator):
    """The coupled model; scikit-learn conventions, one material per fit.

    Parameters
    ----------
    scheme : where the grains' stresses come from, of `cpml.models.mechanics.grain_stress`; "auto": "learned"
        for specimens with a map, "affine" for others
    edges : False shuts the corrections from neighbours (an ablation); schemes that say how far they may be
        wrong know the neighbours and have none
    free_surface : no shear stress on the map's surface
    n_draws : quasi-random draws of the local stress per grain; the search begins with `Numerics.coarse_draws`
        from the prior, goes on with this number, adapted to each grain (`adapted_draws`), and ends with
        `Numerics.last_factor` times it; a power of two
    residual : the learned correction of the law: "auto" (as far as held-out tiles ask for it), True or False
    scatter : False fixes s_eta = 0 (an ablation: strengths then come out biased)
    samples : draws of Hamiltonian Monte Carlo behind intervals and predictions (`sampling`; minutes, needs
        Pyro); 0: quantiles along the ridge and Laplace's approximation
    max_iter : L-BFGS iterations per stage; a stage ends early where the posterior no longer rises
    warm_start : start from the last fit (or from a loaded model) in place of the literature; the prior stays
    numerics : how finely it searches, samples and solves; its table names every number with a reason

    Attributes
    ----------
    theta_ : dict of learned values; strengths_ : DataFrame with 90 % intervals; gate_ : largest
        strength of the learned correction over the mechanisms, 0: the law alone, exactly;
    slow_laws_ : what reports taught of cross-slip and climb;
    mechanics_converged_ : whether every solution of the scheme behind the localisation converged;
    converged_, n_iter_, log_posterior_ : state of the search, steps over all its stages; holdout_ :
        DataFrame behind the gate, one row per mechanism (`correction.learn`)
    """

    name = "coupled"

    def __init__(
        self,
        *,
        scheme: str = "auto",
        edges: bool = True,
        free_surface: bool = False,
        n_draws: int = 64,
        residual: bool | str = "auto",
        scatter: bool = True,
        samples: int = 0,
        max_iter: int = 150,
        warm_start: bool = False,
        seed: int = 0,
        numerics: Numerics = STANDARD,
    ):
        self.scheme = scheme
        self.edges = edges
        self.free_surface = free_surface
        self.n_draws = n_draws
        self.residual = residual
        self.scatter = scatter
        self.samples = samples
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.seed = seed
        self.numerics = numerics

    def fit(self, specimens: list[Specimen]) -> Self:
        """Learn strengths, scatter, detection and, if it helps, the correction from footprints.

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
        before = vars(self).get("prior_")
        rise = np.exp(np.mean([np.log(expected_rise(s, self.numerics)) for s in specimens], axis=0))
        self.prior_ = Prior(
            specimens[0].material, families.pop(), self._further(specimens), tuple(rise.tolist())
        )
        starts = self._starts(before)
        if any(s.motions is not None for s in specimens):
            # strains and rotations have several maxima over the ratios; traces and twins lead to the best
            still = [replace(s, motions=None) for s in specimens]
            starts = [self._best_search(still, starts)[1].vector]
        posterior, optimum = self._best_search(specimens, starts)
        self.frequency_ = mean_frequency([d.evidence for d in posterior.data])
        light, posterior, optimum = self._polish(specimens, optimum)
        self.vector_, self.log_posterior_ = optimum.vector, optimum.log_posterior
        blind = self._blind(specimens, light)
        if blind:  # log_posterior_ and covariance_ stay those of the maximum, where all labels were seen
            self.vector_ = self._with_held_out_share(specimens, light, blind)
        self.converged_, self.n_iter_ = optimum.converged, optimum.n_iter
        log_strength = self.vector_[: len(self.prior_.families)]
        self.mechanics_converged_ = all(
            d.localisation.response.converged(log_strength) for d in posterior.data
        )
        theta = self.prior_.unpack(self.vector_)
        self.slow_laws_ = learn_slow_laws(specimens, posterior.data, theta, self.numerics.bound)
        self.theta_ = self.prior_.named(self.vector_) | factors(self.slow_laws_)
        assert optimum.covariance is not None  # it came with the last steps
        self.covariance_ = optimum.covariance
        self.footprints_ = footprints_of_families(posterior, self.vector_)
        self.draws_ = np.zeros((0, len(self.vector_)))
        if self.samples and posterior.count:
            self.draws_ = sample(
                posterior, self.vector_, self.covariance_, number=self.samples, seed=self.seed
            )
            alone = sampled_quantiles(self.prior_, self.draws_)
        elif posterior.count:
            alone = ratio_quantiles(posterior, self.vector_, self.covariance_)
        if posterior.count:
            self.ratios_ = with_model_error(alone, self.prior_, self.footprints_)
        else:  # the literature speaks alone
            self.ratios_ = normal_quantiles(self.prior_, self.vector_, self.covariance_)
        self.strengths_ = strength_table(self.prior_, self.vector_, self.ratios_)
        self.correction_, self.holdout_ = self._corrected(specimens, blind)
        return self

    def _blind(self, specimens: list[Specimen], posterior: Posterior) -> list[Tensor]:
        """Of every fold of tiles, parameters without its labels, searched for from where all labels led; none
        where nothing is learned from held-out tiles.
        """
        if self.residual is False or not posterior.count:
            return []
        found = []
        for fold in range(TILES):
            kept = [s.with_labels_of(s.grain_ids[folds_of(s) != fold]) for s in specimens]
            parts = zip(kept, posterior.data, strict=True)
            hidden = replace(posterior, data=tuple(Forward.of(s, d.localisation) for s, d in parts))
            steps = min(self.numerics.fold_steps, self.max_iter)
            found.append(
                hidden.maximise(self.vector_, max_iter=steps).vector if hidden.count else self.vector_
            )
        return found

    def _with_held_out_share(
        self, specimens: list[Specimen], posterior: Posterior, blind: list[Tensor]
    ) -> Tensor:
        """The learned parameters with the share of chance that held-out grains ask for; the blind ones
        likewise, in place.
        """
        thetas = [self.prior_.unpack(vector) for vector in blind]
        odds = held_out_share(
            [
                law_and_chance(data, theta, folds_of(specimen) == fold)
                for fold, theta in enumerate(thetas)
                for specimen, data in zip(specimens, posterior.data, strict=True)
            ]
        )
        if odds is None:
            return self.vector_
        place = self.prior_.names.index("outlier")
        for vector in blind:
            vector[place] = odds
        vector = self.vector_.clone()
        vector[place] = odds
        return vector

    def _corrected(self, specimens: list[Specimen], blind: list[Tensor]) -> tuple[Correction, pd.DataFrame]:
        """What the footprints teach beyond the fitted law, and the evidence for it."""
        if self.residual is False:
            return Correction(), pd.DataFrame(columns=list(EVIDENCE))

        def without(fold: int) -> list[Told]:
            """Told by the law without the labels of a fold."""
            vector = blind[fold] if blind else self.vector_
            return [self._told(specimen, vector) for specimen in specimens]

        told = [self._told(specimen, self.vector_) for specimen in specimens]
        return learn(told, without, numerics=self.numerics, seed=self.seed, forced=self.residual is True)

    def _told(self, specimen: Specimen, vector: Tensor) -> Told:
        """A training specimen with what the law at ``vector`` says of it."""
        theta = self.prior_.unpack(vector)
        inputs, sheared = self._asked(specimen, self._forward(specimen, vector, self.n_draws), theta)
        found = sheared.average(sheared.found).numpy()
        return Told(specimen, inputs, found, sheared.turned, theta.rates, self.frequency_)

    def _asked(self, specimen: Specimen, data: Forward, theta: Theta) -> tuple[Inputs, Sheared]:
        """Inputs of the correction, and what the law says."""
        with torch.no_grad():
            sheared = data.at(theta)
        inputs = correction_inputs(specimen, self.scheme_of(specimen), data, theta, sheared)
        return inputs, sheared

    @property
    def gate_(self) -> float:
        """Largest strength of the learned correction over the mechanisms; 0: the law alone, exactly."""
        check_is_fitted(self, "correction_")
        return self.correction_.gate

    def _further(self, specimens: list[Specimen]) -> tuple[str, ...]:
        """The parameters of FURTHER that these specimens need."""
        needed: set[str] = set()
        for specimen in specimens:
            kinds = [measured.kind for measured in Measured.of(specimen)]
            needed |= {f"{kind}_gain" for kind in kinds}
            needed |= {"n_twin", "twin_limit", "twin_steepness"} if specimen.systems.twin.any() else set()
            is_mapped = specimen.systems.twin.any() and np.isfinite(specimen.diameter).any()
            needed |= {"twin_thickness", "outgrown"} if is_mapped else set()
            needed |= {"report_missed", "report_false"} if Reports.of(specimen) is not None else set()
            if self.scheme_of(specimen) in UNCERTAIN:  # neighbours and scatter are its own
                needed |= {"trust"} if self.scatter else set()
                continue
            needed |= {"amplitude", *(PULLS if self.edges else ()), *(f"{kind}_scatter" for kind in kinds)}
            needed |= {"scatter"} if self.scatter else set()
        return tuple(name for name in FURTHER if name in needed)

    def _starts(self, before: Prior | None) -> list[Tensor]:
        """Where the search begins: about the literature, or what the last fit, under the prior ``before``,
        knew.
        """
        centre = self.prior_.centre()
        if not self.warm_start or before is None or "vector_" not in vars(self):
            has_ratios = len(self.prior_.families) > 1
            return list(self.prior_.starts()[: self.numerics.starts if has_ratios else 1])
        if before.families != self.prior_.families:
            raise ParameterError(
                f"warm_start: the last fit was of {before.families}, not {self.prior_.families}"
            )
        known = dict(zip(before.names, self.vector_, strict=True))
        own = [known.get(name, value) for name, value in zip(self.prior_.names, centre, strict=True)]
        return [torch.stack(own)]

    def _best_search(self, specimens: list[Specimen], starts: Sequence[Tensor]) -> tuple[Posterior, Optimum]:
        """The highest of the maxima to which searches from ``starts`` lead."""
        found = [self._search(specimens, start) for start in starts]
        return max(found, key=lambda each: each[1].log_posterior)

    def _search(self, specimens: list[Specimen], vector: Tensor) -> tuple[Posterior, Optimum]:
        """Maximum; the localisation is linearised again where the search ends, until that moves little."""
        k, steps = len(self.prior_.families), 0
        for _ in range(self.numerics.rounds):
            posterior = self._posterior(specimens, vector, min(self.numerics.coarse_draws, self.n_draws))
            if not posterior.count:  # nothing to learn from: the prior stays
                return posterior, Optimum(vector, -float(posterior.cost(vector)), True, 0)
            start = vector
            for held in (tuple(self.prior_.shape), EXCUSES, ()):  # strengths, the law, all
                optimum = posterior.maximise(vector, max_iter=self.max_iter, held=held)
                vector, steps = optimum.vector, steps + optimum.n_iter
            before, after = (grid_point(v[:k].numpy(), self.numerics) for v in (start, vector))
            if np.array_equal(before, after):
                break
        return posterior, replace(optimum, n_iter=steps)

    def _polish(self, specimens: list[Specimen], start: Optimum) -> tuple[Posterior, Posterior, Optimum]:
        """The last steps to the maximum, with draws adapted to each grain, their number growing to
        `Numerics.last_factor` times n_draws; the last posterior but one, the last, and where it is highest.
        """
        vector, steps = start.vector, start.n_iter
        light = posterior = self._posterior(specimens, vector, self.n_draws)
        if not posterior.count:
            return light, posterior, posterior.refine(start)
        for k in range(self.numerics.adaptations):
            is_last = k == self.numerics.adaptations - 1
            number = self.n_draws * (self.numerics.last_factor if is_last else 1)
            theta = self.prior_.unpack(vector)
            adapted = (adapt(d, theta, n_draws=number, seed=self.seed) for d in posterior.data)
            light, posterior = posterior, replace(posterior, data=tuple(adapted))
            optimum = posterior.maximise(vector, max_iter=self.max_iter)
            vector, steps = optimum.vector, steps + optimum.n_iter
        return light, posterior, posterior.refine(replace(optimum, n_iter=steps))

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
        footprint is recorded, p_cp the same of the law without scatter, neighbours' and learned corrections,
        p_active that the token is active at all (recorded or not), share the expected share of the grain's
        shear, shear the expected shear itself (NaN unless the load's strain is known; over the twinning shear
        it is the volume fraction); with ``interval`` also p_low, p_high, p_active_low, ..., shear_high
        """
        data, theta = self.forward(specimen)
        amount = data.localisation.taylor * specimen.load.strain if specimen.load.strain else float("nan")
        draws = [self._predict(data, drawn, amount) for drawn in self._posterior_draws()]
        values = {name: np.mean([d[name] for d in draws], axis=0) for name in draws[0]}
        values["p_cp"] = self._predict(replace(data, shift=None), theta.law_alone(), amount)["p"]
        if interval:
            for name in ("p", "p_active", "share", "shear"):
                low, high = np.quantile([d[name] for d in draws], [0.05, 0.95], axis=0)
                values[f"{name}_low"] = np.minimum(low, values[name])
                values[f"{name}_high"] = np.maximum(high, values[name])
        return specimen.predictions(values.pop("p"), model=self.name, **values)

    def predict_levels(self, specimen: Specimen) -> pd.DataFrame:
        """Probabilities of single systems, families, slip or twinning at all,
        cross-slip pairs and climb (`outputs`).
        """
        data, _ = self.forward(specimen)
        return all_levels(specimen, data, self._posterior_draws(), self.slow_laws_)

    def parents(self, specimen: Specimen) -> pd.DataFrame:
        """Which grains are probably twins that have outgrown their parents (`outputs.parents`)."""
        data, _ = self.forward(specimen)
        return parents(specimen, data, self._posterior_draws())

    def predict_motion(
        self, specimen: Specimen, *, strain: float | Mapping[str, float] | None = None
    ) -> pd.DataFrame:
        """Lattice rotation and strain of every grain from the law (`motion`); what was measured of the grain
        itself plays no part.

        Parameters
        ----------
        strain : von Mises, of all kinds or by kind (rotation, strain); None: that at which a kind was
            measured, else the load's

        Returns
        -------
        DataFrame grain_id, component (rotation_x_deg, ..., e_xx_percent, ...), value, low, high (90 %, by the
        parameters and by what the law leaves open of a grain), literature (the same scheme at the strengths
        of the literature); rotations are those against the mean over the specimen, as they are measured

        Raises
        ------
        CpmlError : no strain is known
        """
        data, _ = self.forward(specimen)
        alone = grain_state(
            specimen, np.log(self.prior_.strengths), self.scheme_of(specimen), numerics=self.numerics
        )
        at = strains_of(specimen, strain)
        return predicted(specimen, data.localisation.response, self._posterior_draws(), alone, at)

    def strength_history(self, specimen: Specimen) -> pd.DataFrame:
        """Strength ratios over the whole test, at its beginning and at its end (`hardened`).

        Returns
        -------
        DataFrame moment (mean, initial, end), family, strength_mpa, ratio, ratio_low, ratio_high
        """
        data, theta = self.forward(specimen)
        with torch.no_grad():
            sheared = data.at(theta)
            shear = sheared.average(sheared.by_system) * sheared.log_shear.exp()[:, None]
        return strength_history(specimen, self.strengths_, shear.numpy())

    def explain(self, specimen: Specimen) -> pd.DataFrame:
        """The chain of causes of every grain and token (`explanation`)."""
        return explain(self, specimen)

    def _predict(self, data: Forward, theta: Theta, amount: float) -> dict[str, NDArray]:
        with torch.no_grad():
            sheared = data.at(theta)
            active, share = sheared.average(sheared.active), sheared.average(sheared.by_token)
            found = sheared.average(sheared.found)
            seen = seen_probability(found, sheared.turned, data.n_planes, theta.rates, self.frequency_)
            shear = share * sheared.log_total.exp()[:, None] * amount
        return {"p": seen.numpy(), "p_active": active.numpy(), "share": share.numpy(), "shear": shear.numpy()}

    def _posterior_draws(self) -> list[Theta]:
        """Parameters of the sampler, or of Laplace's approximation within the bounds of the search."""
        if len(self.draws_):
            kept = np.linspace(0, len(self.draws_) - 1, min(self.numerics.posterior_draws, len(self.draws_)))
            return [self.prior_.unpack(torch.tensor(self.draws_[int(k)])) for k in kept]
        n = len(self.prior_.names)
        root = np.linalg.cholesky(self.covariance_ + 1e-12 * np.eye(n))
        generator = qmc.MultivariateNormalQMC(mean=np.zeros(n), rng=np.random.default_rng(self.seed))
        half = generator.random(self.numerics.posterior_draws // 2)
        centre, width = self.prior_.centre().numpy(), self.numerics.bound * self.prior_.width()
        upper = np.maximum(centre + width, self.vector_.numpy())  # held-out grains may ask for more chance
        drawn = [self.vector_.numpy() + root @ z for z in np.concatenate([half, -half])]
        return [self.prior_.unpack(torch.tensor(np.clip(v, centre - width, upper))) for v in drawn]

    def log_likelihood(self, specimen: Specimen) -> float:
        """Log-likelihood of a specimen's footprints under the fitted law (natural log, all grains)."""
        self._check(specimen)
        with torch.no_grad():
            data = (self._forward(specimen, self.vector_, self.n_draws),)
            posterior = Posterior(self.prior_, data, self.numerics)
            return float(posterior.log_likelihood(self.vector_)[0].sum())

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

    def save(self, path: str | Path) -> None:
        """Write the fitted model as JSON text (no pickle)."""
        check_is_fitted(self, "vector_")
        write_model(self, path)

    @classmethod
    def load(cls, path: str | Path, material: Material) -> "CoupledClassifier":
        """Read a model written by :meth:`save`; ``material`` supplies the priors it was trained with.

        Raises
        ------
        CpmlError : another format or version, another material, or a file that is no saved model
        """
        return read_model(cls, path, material)

    def scheme_of(self, specimen: Specimen) -> str:
        """Scheme that gives the stresses of this specimen."""
        return scheme_for(specimen) if self.scheme == "auto" else self.scheme

    def forward(self, specimen: Specimen) -> tuple[Forward, Theta]:
        """The specimen as tensors, its localisation solved near the learned strengths, with the learned
        correction, and the learned parameters.
        """
        self._check(specimen)
        theta = self.prior_.unpack(self.vector_)
        data = self._forward(specimen, self.vector_, self.n_draws)
        if self.correction_.is_open:
            inputs, _ = self._asked(specimen, data, theta)
            data = replace(data, shift=torch.tensor(self.correction_.shift(specimen, inputs)))
        return data, theta

    def learned(self, specimen: Specimen) -> dict[str, NDArray]:
        """Columns (G, T) of what the learned correction adds to the log odds, as in `explain`."""
        inputs = None
        if self.correction_.is_open:
            theta = self.prior_.unpack(self.vector_)
            inputs, _ = self._asked(specimen, self._forward(specimen, self.vector_, self.n_draws), theta)
        return self.correction_.columns(specimen, inputs)

    def _forward(self, specimen: Specimen, vector: Tensor, n_draws: int) -> Forward:
        """Tensors of a specimen, its localisation solved near the strengths of ``vector``."""
        localisation = Localisation.of(
            specimen,
            vector[: len(self.prior_.families)].numpy(),
            scheme=self.scheme_of(specimen),
            n_draws=n_draws,
            seed=self.seed,
            free_surface=self.free_surface,
            numerics=self.numerics,
        )
        return Forward.of(specimen, localisation)

    def _posterior(self, specimens: list[Specimen], vector: Tensor, n_draws: int) -> Posterior:
        data = tuple(self._forward(s, vector, n_draws) for s in specimens)
        return Posterior(self.prior_, data, self.numerics)

    def _check(self, specimen: Specimen) -> None:
        check_is_fitted(self, "vector_")
        if specimen.systems.family_names != self.prior_.families:
            theirs = specimen.systems.family_names
            raise CpmlError(
                f"specimen {specimen.name!r} has families {theirs}, the model knows {self.prior_.families}"
            )
