"""Whether the learned residual may speak: only where it predicts blocks better that it has not seen."""

import torch
from torch import Tensor

from cpml.models.coupled.posterior import Forward, Posterior


def residual_gate(
    specimens: list, posterior: Posterior, vector: Tensor, *, max_iter: int, reach: float
) -> tuple[float, dict]:
    """Gate (0 or 1) of the residual, and the held-out gain behind it.

    Trained with and without residual on alternating tiles of the maps, compared on the other tiles; the gate
    opens if the log-likelihood gains more than one standard error.

    Parameters
    ----------
    posterior : of all labels; vector : where both searches start

    Returns
    -------
    gate, dict residual_gain_nats, standard_error_nats (empty where the tiles hold no label)
    """
    halves = [s.chequerboard() for s in specimens]
    parts = zip(specimens, halves, posterior.data, strict=True)
    prior = posterior.prior
    known = Posterior(
        prior, tuple(Forward.of(s.with_labels_of(s.grain_ids[h]), prior.head, d.medium) for s, h, d in parts)
    )
    if not known.count:
        return 0.0, {}
    plain = known.maximise(vector, gate=0.0, max_iter=max_iter, reach=reach).vector
    opened = known.maximise(plain, gate=1.0, max_iter=max_iter, reach=reach).vector
    with torch.no_grad():
        scores = [posterior.log_likelihood(v, gate=g) for v, g in ((opened, 1.0), (plain, 0.0))]
        gain = torch.cat([(a - b)[torch.tensor(~h)] for a, b, h in zip(*scores, halves, strict=True)])
    error = float(gain.std() * len(gain) ** 0.5)
    found = {"residual_gain_nats": float(gain.sum()), "standard_error_nats": error}
    return float(found["residual_gain_nats"] > error), found
