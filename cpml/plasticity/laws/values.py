"""Numbers of a law: given as one number, per family or per system; read as a tensor."""

from typing import Any

import torch
from torch import Tensor

from cpml.crystallography.slip_systems import Systems
from cpml.errors import ParameterError
from cpml.plasticity.arguments import Values, as_tensor


def per_system(systems: Systems, value: Values, name: str) -> Tensor:
    """(S,) values of a number, of (K,) family values or of (S,) system values.

    Raises
    ------
    ParameterError : another shape, NaN or infinity; `name` says which argument it was
    """
    value = as_tensor(value)
    if not bool(torch.isfinite(value.detach()).all()):
        raise ParameterError(f"{name} contains NaN or infinity")
    if value.ndim == 0:
        return value.expand(len(systems))
    if value.shape == (len(systems.family_names),):
        return value[torch.as_tensor(systems.family)]
    if value.shape == (len(systems),):
        return value
    raise ParameterError(
        f"{name} of shape {tuple(value.shape)}: give one number, {len(systems.family_names)} per "
        f"family {systems.family_names} or {len(systems)} per system"
    )


class TensorField:
    """Field of a frozen dataclass that takes numbers, arrays or tensors and is read as a float64 tensor."""

    def __init__(self, default: float | None = None) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, law: Any, owner: type) -> Tensor:
        if law is None:  # the dataclass asks for the default
            if self.default is None:
                raise AttributeError(self.name)
            return self.default  # type: ignore[return-value]  # never read: __init__ hands it to __set__
        return law.__dict__[self.name]

    def __set__(self, law: Any, value: Values) -> None:
        law.__dict__[self.name] = self.convert(law, value)

    def convert(self, law: Any, value: Values) -> Tensor:
        """The tensor that is kept."""
        return as_tensor(value)


class PerSystem(TensorField):
    """A TensorField with one value (S,) for each of the law's `systems`.

    Parameters
    ----------
    default : value where none is given
    sign : "positive" or "not negative" refuse other values, "any" does not
    per_grain : (G, S) values are taken as well
    """

    def __init__(
        self, default: float | None = None, *, sign: str = "not negative", per_grain: bool = False
    ) -> None:
        super().__init__(default)
        self.sign, self.per_grain = sign, per_grain

    def convert(self, law: Any, value: Values) -> Tensor:
        """(S,) values, checked."""
        is_per_grain = self.per_grain and getattr(value, "ndim", 0) == 2
        tensor = as_tensor(value) if is_per_grain else per_system(law.systems, value, self.name)
        least = float(tensor.detach().min())
        if (self.sign == "positive" and not least > 0) or (self.sign == "not negative" and not least >= 0):
            raise ParameterError(f"{self.name} must be {self.sign}, got a smallest of {least:g}")
        return tensor


class LatentMatrix(TensorField):
    """A TensorField with the factors h (S, S) of latent hardening: row = hardened
    system, column = active one.

    It takes a number or a (K, K) family matrix, both for pairs of different systems
    (h_ss = 1; `diagonal=None`: for all pairs), or (S, S) itself.
    """

    def __init__(self, default: float | None = None, *, diagonal: float | None = 1.0) -> None:
        super().__init__(default)
        self.diagonal = diagonal

    def convert(self, law: Any, value: Values) -> Tensor:
        """(S, S) factors, none negative."""
        systems: Systems = law.systems
        count, families = len(systems), len(systems.family_names)
        h = as_tensor(value)
        if h.shape == (count, count) and count != families:
            matrix = h
        elif h.ndim == 0 or h.shape == (families, families):
            family, eye = torch.as_tensor(systems.family), torch.eye(count, dtype=torch.float64)
            matrix = h.expand(families, families)[family][:, family]
            if self.diagonal is not None:
                matrix = matrix * (1 - eye) + self.diagonal * eye
        else:
            raise ParameterError(
                f"{self.name} hardening of shape {tuple(h.shape)}: give a number, ({families}, {families}) "
                f"for the families {systems.family_names} or ({count}, {count})"
            )
        if not bool((matrix.detach() >= 0).all()):
            raise ParameterError("latent hardening factors must not be negative")
        return matrix
