"""A quick stand-in of the coupled model, by which whole explanations are compared: other families, loads,
frames.

Every rival explanation needs a fit of its own. The stand-in gives each grain the stress of the load (Sachs)
and a learned scatter, no neighbours and no learned correction: seconds a fit. All rivals are judged by the
same stand-in, so what it lacks is lacking on every side, and what counts is the difference in log evidence.
Most rivals are hopeless, which a few steps of the search tell (`rough_look`).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from cpml.models.coupled.coupled import CoupledClassifier
from cpml.models.coupled.likelihood import Evidence
from cpml.models.coupled.posterior import Posterior
from cpml.models.numerics import STANDARD
from cpml.models.specimen.specimen import Specimen

QUICK = replace(STANDARD, starts=1, rounds=1, adaptations=1, last_factor=1, looking_draws=128)
"""Rivals differ by tens of nats; a stress that does not depend on the strengths is solved once."""
N_DRAWS, MAX_ITER = 32, 60
ROUGH_STEPS = 10


@dataclass(frozen=True)
class Rough:
    """Where a few steps of the search led: log posterior, and log-likelihood (G,) of every grain."""

    log_posterior: float
    grains: NDArray


def quick_fit(model: CoupledClassifier, specimens: list[Specimen]) -> CoupledClassifier:
    """The stand-in of a model, fitted to the traces and twins of specimens."""
    options = {
        "scheme": "sachs",
        "edges": False,
        "residual": False,
        "scatter": True,
        "warm_start": False,
        "n_draws": N_DRAWS,
        "max_iter": MAX_ITER,
        "numerics": QUICK,
    }
    return clone(model).set_params(**options).fit([replace(s, motions=None) for s in specimens])


def grain_log_likelihood(model: CoupledClassifier, specimen: Specimen) -> NDArray:
    """(G,) log-likelihood of the footprints of every grain under a fitted model."""
    data, _ = model.forward(replace(specimen, motions=None))
    posterior = Posterior(model.prior_, (data,), model.numerics)
    with torch.no_grad():
        return posterior.log_likelihood(model.vector_)[0].numpy()


def rough_look(plain: CoupledClassifier, specimen: Specimen) -> Rough:
    """What a fit to a specimen might reach, from the parameters of the stand-in ``plain`` and without
    adapting its draws.
    """
    data, _ = plain.forward(replace(specimen, motions=None))
    posterior = Posterior(plain.prior_, (data,), plain.numerics)
    found = posterior.maximise(plain.vector_, max_iter=ROUGH_STEPS)
    with torch.no_grad():
        return Rough(found.log_posterior, posterior.log_likelihood(found.vector)[0].numpy())


def unexplained(model: CoupledClassifier, specimen: Specimen) -> NDArray:
    """(J,) probability, given all footprints, that no plane of the model made a trace.

    It is the ratio of two likelihoods: without any plane for this trace, and with all of them. 0 in grains
    that the likelihood leaves out, since nobody looked at them.
    """
    specimen = replace(specimen, motions=None)
    data, _ = model.forward(specimen)
    rank = specimen.traces.groupby("grain_id").cumcount().to_numpy()
    grain, probability = specimen.trace_grain, np.zeros(len(rank))

    def log_likelihood(evidence: Evidence) -> NDArray:
        posterior = Posterior(model.prior_, (replace(data, evidence=evidence),), model.numerics)
        with torch.no_grad():
            return posterior.log_likelihood(model.vector_)[0].numpy()

    whole = log_likelihood(data.evidence)
    for k in range(rank.max(initial=-1) + 1):  # the traces of one rank belong to different grains
        chosen = rank == k
        dropped = specimen.candidates["trace_id"].isin(specimen.traces["trace_id"].to_numpy()[chosen])
        candidates = specimen.candidates.assign(
            likelihood=specimen.candidates["likelihood"].where(~dropped, 0.0)
        )
        without = log_likelihood(Evidence.of(replace(specimen, candidates=candidates)))
        probability[chosen] = np.exp(without - whole)[grain[chosen]]
    return np.where(specimen.imaged[grain], probability.clip(0.0, 1.0), 0.0)
