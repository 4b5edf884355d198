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
from pathlib import Path

import pandas as pd
import torch
from sklearn.base import BaseEstimator

from cpml.errors import CpmlError, ParameterError
from cpml.models.likelihood import activity, mean_frequency, seen_probability
from cpml.models.posterior import Forward, Posterior, strength_table
from cpml.models.prior import Prior, rates
from cpml.models.residual import ResidualHead
from cpml.models.specimen import Specimen

FORMAT = "cpml-coupled-1"


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
        head = ResidualHead.like(specimens, seed=self.seed)
        self.prior_ = Prior(specimens[0].material, families.pop(), head, self.scatter, self.shrinkage)
        posterior = self._posterior(specimens)
        self.frequency_ = mean_frequency([d.evidence for d in posterior.data])
        self.gate_, self.holdout_ = float(self.residual is True), {}
        if self.residual == "auto" and any(d.evidence.count for d in posterior.data):
            self._choose_gate(specimens, posterior)
        optimum = posterior.maximise(self.prior_.centre(), gate=0.0, max_iter=self.max_iter)
        if self.gate_:
            optimum = posterior.maximise(optimum.vector, gate=1.0, max_iter=self.max_iter)
        self.vector_, self.log_posterior_ = optimum.vector, optimum.log_posterior
        self.converged_, self.n_iter_ = optimum.converged, optimum.n_iter
        self.theta_ = self.prior_.named(self.vector_)
        covariance = posterior.covariance(self.vector_, gate=self.gate_)
        self.strengths_ = strength_table(self.prior_, self.vector_, covariance)
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
        data, theta = self._forward(specimen), self.prior_.unpack(self.vector_)
        with torch.no_grad():
            share, _ = data.share(theta, self.prior_.head, gate=self.gate_)
            plain, _ = data.share({**theta, "scatter": torch.zeros(())}, self.prior_.head, gate=0.0)
            active, active_cp = (activity(x, data.n_planes, rates(theta)).mean(1) for x in (share, plain))
            p, p_cp = (
                seen_probability(x, data.n_planes, rates(theta), self.frequency_).numpy()
                for x in (active, active_cp)
            )
        return specimen.predictions(
            p, model=self.name, p_cp=p_cp, p_active=active.numpy(), share=share.mean(1).numpy()
        )

    def log_likelihood(self, specimen: Specimen) -> float:
        """Log-likelihood of a specimen's footprints under the fitted model (natural log, all grains)."""
        self._check(specimen)
        with torch.no_grad():
            return float(self._posterior([specimen]).log_likelihood(self.vector_, gate=self.gate_)[0].sum())

    @property
    def family_names_(self) -> tuple[str, ...]:
        """Families in the order of the strengths."""
        return self.prior_.families

    def save(self, path: Path) -> None:
        """Write the fitted model as JSON text (no pickle)."""
        content = {
            "format": FORMAT,
            "parameters": self.get_params(),
            "families": list(self.prior_.families),
            "material": self.prior_.material.name,
            "gate": self.gate_,
            "frequency": list(self.frequency_),
            "vector": self.vector_.tolist(),
            "head": self.prior_.head.to_dict(),
            "strengths": self.strengths_.to_dict(orient="list"),
        }
        Path(path).write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path, material) -> "CoupledClassifier":
        """Read a model written by :meth:`save`; ``material`` supplies the priors it was trained with.

        Raises
        ------
        CpmlError : another format or version, another material, or a file that is no saved model
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != FORMAT or content["material"] != material.name:
                written = f"{content['format']} for {content['material']}"
                raise CpmlError(f"{path}: written as {written}, expected {FORMAT} for {material.name}")
            model = cls(**content["parameters"])
            head = ResidualHead.from_dict(content["head"])
            model.prior_ = Prior(material, tuple(content["families"]), head, model.scatter, model.shrinkage)
            model.gate_, model.frequency_ = content["gate"], tuple(content["frequency"])
            model.vector_ = torch.tensor(content["vector"], dtype=torch.float64)
            if len(model.vector_) != len(model.prior_.centre()):
                raise CpmlError(
                    f"{path}: {len(model.vector_)} parameters, expected {len(model.prior_.centre())}"
                )
            model.strengths_ = pd.DataFrame(content["strengths"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CpmlError(f"{path}: not a saved coupled model ({type(error).__name__}: {error})") from None
        model.theta_ = model.prior_.named(model.vector_)
        return model

    def _forward(self, specimen: Specimen) -> Forward:
        return Forward.of(specimen, self.prior_.head, n_draws=self.n_draws, seed=self.seed)

    def _posterior(self, specimens: list[Specimen]) -> Posterior:
        return Posterior(self.prior_, tuple(self._forward(s) for s in specimens))

    def _choose_gate(self, specimens: list[Specimen], posterior: Posterior) -> None:
        """Open the gate only if the residual helps on blocks that it has not seen, by more than one standard error."""
        halves = [s.chequerboard() for s in specimens]
        known = self._posterior(
            [s.with_labels_of(s.grain_ids[h]) for s, h in zip(specimens, halves, strict=True)]
        )
        if not any(d.evidence.count for d in known.data):
            return
        plain = known.maximise(self.prior_.centre(), gate=0.0, max_iter=self.max_iter).vector
        opened = known.maximise(plain, gate=1.0, max_iter=self.max_iter).vector
        with torch.no_grad():
            pairs = zip(
                posterior.log_likelihood(opened, gate=1.0),
                posterior.log_likelihood(plain, gate=0.0),
                strict=True,
            )
            gain = torch.cat([(a - b)[torch.tensor(~h)] for (a, b), h in zip(pairs, halves, strict=True)])
        error = float(gain.std() * len(gain) ** 0.5)
        self.holdout_ = {"residual_gain_nats": float(gain.sum()), "standard_error_nats": error}
        self.gate_ = float(float(gain.sum()) > error)

    def _check(self, specimen: Specimen) -> None:
        if not hasattr(self, "vector_"):
            raise ParameterError("the coupled model is not fitted: call fit(specimens) first")
        if specimen.systems.family_names != self.prior_.families:
            theirs = specimen.systems.family_names
            raise CpmlError(
                f"specimen {specimen.name!r} has families {theirs}, the model knows {self.prior_.families}"
            )
