"""Whether the learned residual may speak: only where it predicts blocks better that it has not seen."""

from dataclasses import replace

import torch
from torch import Tensor

from cpml.models.coupled.posterior import Forward, Posterior
from cpml.models.specimen.specimen import Specimen


def residual_gate(
    specimens: list[Specimen], posterior: Posterior, vector: Tensor, *, max_iter: int
) -> tuple[float, dict[str, float]]:
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
    known = tuple(
        Forward.of(s.with_labels_of(s.grain_ids[half]), posterior.prior.head, d.localisation)
        for s, half, d in zip(specimens, halves, posterior.data, strict=True)
    )
    shut = replace(posterior, data=known, gate=0.0)
    if not shut.count_of_mechanisms:
        return 0.0, {}
    opened = replace(shut, gate=1.0)
    plain = shut.maximise(vector, max_iter=max_iter).vector
    learned = opened.maximise(plain, max_iter=max_iter).vector
    with torch.no_grad():
        with_head = replace(posterior, gate=1.0).log_likelihood(learned)
        without = replace(posterior, gate=0.0).log_likelihood(plain)
        parts = zip(with_head, without, halves, strict=True)
        gain = torch.cat([(a - b)[torch.tensor(~half)] for a, b, half in parts])
    total, error = float(gain.sum()), float(gain.std() * len(gain) ** 0.5)
    return float(total > error), {"residual_gain_nats": total, "standard_error_nats": error}
