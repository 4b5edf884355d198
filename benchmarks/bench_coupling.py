"""The coupled model beside its baselines on virtual specimens with known truth:
`tasks.py bench --suite coupling [--arguments "blocks --specimens mg_hcp_G"]`.

Run: python -m benchmarks.bench_coupling [part ...] [options]. Without a part, those of DEFAULT.

| part | question |
|---|---|
| blocks | is F above every baseline on held-out blocks of each specimen, over partitions and seeds? |
| transfer | the same, trained on another specimen of the material, over seeds |
| crops | blocks, on a quarter of the map in place of the periodic whole |
| shuffled | what is scored without learning: the footprints of the training grains exchanged |
| optimism | how much better is a model on the grains that it was trained on? |
| learning | how do scores grow with labels, with a better microscope, with the size of the map? |
| hot_spots | which grains carry most, beside the published forest (`benchmarks.stress_hot_spots`) |
| ablations | what each ingredient of F brings (magnesium A -> B; an hour) |
| measured | measured data sets, against their footprints, over partitions (`benchmarks.measured_scores`) |
| parents | are grains that F calls outgrown twins really that (`benchmarks.parent_scores`)? |
| factory | blocks of many simulated specimens: log score, calibration (`benchmarks.factory_scores`; hours) |

The first score of a table is the mean PR-AUC inside families: a share per family without any knowledge of the
grain (`family_share`) ranks well over all planes, and not at all inside them. Against the truth (a plane is
active above 1 % shear) every model's p is turned from recorded to active by the same rates
(`cpml.evaluation.active`); `log_loss recorded` is without that. Footprints are labels of planes whose own
line would name them (`cpml.microscopy.scored_labels`), of variants all. `guess` knows the prevalence of the
tested labels. Mechanisms: planes and variants (slip, twin), families (slip_family), whether a grain twins at
all (twin_grain). Gains are those of F, positive where it is better; brackets are 90 % intervals over blocks,
the same in all partitions. Partition k has seed k modulo the number of seeds.

Options: --specimens (names of `benchmarks.virtual_specimens.SPECIMENS`, or folders of simulated data sets),
--partitions, --seeds, --models cheap|quick|full, --scheme (of F), --shells (width of the buffer), --factory
(how many specimens; made where $CPML_FACTORY does not hold them yet, half a minute each), --datasets (of
`measured`, run up to chapter 03 before). F with
"learned" takes a minute a fit, five fits a partition; "affine" a third.

Needs the generator's folders under $CPML_REFERENCE/virtual. Writes into reports/comparison/metrics.json.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import entr

from benchmarks import factory_scores, measured_scores, parent_scores
from benchmarks.coupling_variants import (
    Changed,
    ablations,
    exchanged_labels,
    noisy_labels,
    share_of_labels,
)
from benchmarks.factory_specimens import load_any
from benchmarks.stress_hot_spots import hot_spot_table
from benchmarks.virtual_specimens import (
    SPECIMENS,
    WHOLE,
    VirtualSpecimen,
    Window,
    partition,
    reference_folder,
)
from cpml import evaluation, models, paths
from cpml.evaluation.splits import Splits
from cpml.files import merge_json
from cpml.models.protocol import Model
from cpml.models.specimen.specimen import Specimen

F = "coupled"
TRANSFERS = (
    ("mg_hcp_A", "mg_hcp_B"),
    ("mg_hcp_B", "mg_hcp_A"),
    ("mg_hcp_A", "mg_deep_A"),
    ("ni_fcc_A", "ni_deep_A"),
)
"""Trained on, tested on; of the same material."""
QUARTERS: tuple[Window, ...] = ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
SHARES = (1.0, 0.5, 0.25, 0.1)
MICROSCOPES = {
    "as recorded": {},
    "3 deg": {"angle_deg": 3.0},
    "30 % missed": {"missed": 0.3},
    "0.2 false a grain": {"false": 0.2},
}
SIZES: dict[str, Window] = {
    "whole map": WHOLE,
    "three quarters": (0.0, 0.0, 0.866, 0.866),
    "half": (0.0, 0.0, 0.707, 0.707),
    "quarter": QUARTERS[0],
}
SHOWN = ("log_loss", "pr_auc_within", "pr_auc", "top1", "top2")
GAINED = ("log_loss", "pr_auc_within", "pr_auc")
DEFAULT = ("blocks", "transfer", "crops", "shuffled", "optimism", "learning", "hot_spots")

Metrics = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """Of a run, from the command line."""

    specimens: Sequence[str] = field(default_factory=lambda: tuple(SPECIMENS))
    partitions: int = 5
    seeds: int = 3
    chosen: str = "quick"
    scheme: str = "auto"
    shells: int = 1
    factory: int = 56
    datasets: Sequence[str] = measured_scores.DATASETS

    def everyone(self, seed: int) -> list[Model]:
        """Baselines and F, unfitted."""
        return [*self.baselines(seed), self.coupled(seed)]

    def baselines(self, seed: int) -> list[Model]:
        """The chosen set; "cheap" are those of a second or two."""
        if self.chosen == "cheap":
            return cheap_models(seed)
        return models.all_models(seed=seed, coupled=False, full=self.chosen == "full")

    def coupled(self, seed: int = 0) -> models.CoupledClassifier:
        """F under the chosen scheme."""
        return models.CoupledClassifier(scheme=self.scheme, seed=seed)

    def seed(self, k: int) -> int:
        """Of the models of partition k."""
        return k % self.seeds


def main(arguments: Iterable[str] = ()) -> None:
    """Print the tables of some parts (module docstring) and write their numbers."""
    parts, settings = _parsed(list(arguments))
    needs = [part for part in parts if part not in ("factory", "measured")]
    if needs and all(name in SPECIMENS for name in settings.specimens) and reference_folder() is None:
        return
    for name in parts:
        start = time.perf_counter()
        print(f"\n== {name}", flush=True)
        prefix = f"coupling_{name}_"
        metrics = {prefix + key: float(value) for key, value in PARTS[name](settings).items()}
        if metrics:
            merge_json(paths.reports("comparison") / "metrics.json", metrics, replaces=(prefix,))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def _parsed(arguments: list[str]) -> tuple[list[str], Settings]:
    parser = argparse.ArgumentParser(prog="bench_coupling", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--specimens", nargs="+", default=list(SPECIMENS))
    parser.add_argument("--partitions", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", dest="chosen", choices=("cheap", "quick", "full"), default="quick")
    parser.add_argument("--scheme", default="auto")
    parser.add_argument("--shells", type=int, default=1)
    parser.add_argument("--factory", type=int, default=56)
    parser.add_argument("--datasets", nargs="+", default=list(measured_scores.DATASETS))
    given = vars(parser.parse_args(arguments))
    parts = given.pop("parts") or list(DEFAULT)
    for part in parts:
        if part not in PARTS:
            parser.error(f"no part {part!r}: choose from {', '.join(PARTS)}")
    if min(given["partitions"], given["seeds"]) < 1:
        parser.error("--partitions and --seeds start at 1")
    return parts, Settings(**given)


def cheap_models(seed: int = 0) -> list[Model]:
    """Baselines of a second or two, among them the shares that know no grain and one that learns much."""
    return [
        models.Prevalence(),
        models.FamilyShare(),
        models.SchmidRule(),
        models.SchmidFamily(),
        models.CrystalPlasticity("sachs", fitted=True),
        models.GradientBoosting("physics", seed=seed),
    ]


# ---------------------------------------------------------------- held-out scores


def blocks(settings: Settings) -> Metrics:
    """Held-out blocks of every specimen, over partitions."""
    metrics: Metrics = {}
    for name in settings.specimens:
        metrics |= report(_short(name), _held_out(load_any(name), settings, settings.everyone))
    return metrics


def crops(settings: Settings) -> Metrics:
    """The same on quarters of the maps, whose edges cut grains; only of the generator's specimens."""
    metrics: Metrics = {}
    for name in (s for s in settings.specimens if s in SPECIMENS):
        for k, window in enumerate(QUARTERS):
            found = _held_out(load_any(name, window=window), settings, settings.everyone)
            metrics |= report(f"{name}_quarter_{k}", found)
    return metrics


def transfer(settings: Settings) -> Metrics:
    """Trained on one specimen, tested on another one, over seeds."""
    metrics: Metrics = {}
    for train, test in TRANSFERS:
        if not {train, test} <= set(settings.specimens):
            continue
        trained_on, tested = load_any(train), load_any(test)
        runs = [
            (predict(settings.everyone(seed), tested, trained_on), tested.splits)
            for seed in range(settings.seeds)
        ]
        metrics |= report(f"{train}_to_{test}", HeldOut(tested, runs))
    return metrics


def shuffled(settings: Settings) -> Metrics:
    """Models that were trained on exchanged footprints, beside themselves."""
    exchanged = partial(exchanged_labels, seed=0)

    def both(seed: int) -> list[Model]:
        true = settings.everyone(seed)
        return [*true, *(Changed(m, f"{m.name}_shuffled", exchanged) for m in settings.everyone(seed))]

    metrics: Metrics = {}
    for name in settings.specimens:
        metrics |= report(_short(name), _held_out(load_any(name), settings, both), gains=False)
    return metrics


def optimism(settings: Settings) -> Metrics:
    """Scores on the training grains less those on held-out ones, of every model."""
    metrics: Metrics = {}
    for name in settings.specimens:
        virtual = load_any(name)
        held_out = _held_out(virtual, replace(settings, partitions=1), settings.everyone)
        known = predict(settings.everyone(0), virtual, virtual)
        seen = HeldOut(virtual, [(known, virtual.splits)])
        tables = [h.scores("footprints", n_boot=0)[0] for h in (seen, held_out)]
        keys = ["mechanism", "model", "metric"]
        there, here = (t.set_index(keys)["value"] for t in tables)
        gap = (there - here).rename("value").reset_index()
        print(f"\n{name}: against footprints, training less held out")
        print(_wide(gap).round(3).to_string(), flush=True)
        metrics |= _flat(gap, f"{_short(name)}_", "value")
    return metrics


def ablations_of(settings: Settings) -> Metrics:
    """F without each of its ingredients, trained on one magnesium and tested on another."""
    train, test = TRANSFERS[0]
    trained_on, tested = load_any(train), load_any(test)
    runs = [
        (predict([settings.coupled(seed), *ablations(seed)], tested, trained_on), tested.splits)
        for seed in range(settings.seeds)
    ]
    return report(f"{train}_to_{test}", HeldOut(tested, runs))


def measured(settings: Settings) -> Metrics:
    """Held-out blocks of measured data sets, over partitions."""
    metrics: Metrics = {}
    for name in settings.datasets:
        if (known := measured_scores.load(name)) is None:
            continue
        specimen, boundaries = known
        options = {"partitions": settings.partitions, "shells": settings.shells}
        runs = measured_scores.held_out(
            specimen, boundaries, lambda k: settings.everyone(settings.seed(k)), **options
        )
        if runs:
            seen = measured_scores.as_virtual(specimen, runs[0][1], sorted(set(runs[0][0]["mechanism"])))
            metrics |= report(name, HeldOut(seen, runs), sides=("footprints",))
        moved = measured_scores.motions(specimen, boundaries, **options)
        if len(moved):
            print(f"\n{name}: held-out motions, mean of {settings.partitions} partitions")
            print(moved.round(2).to_string(), flush=True)
            metrics |= {f"{name}_{c}_{k}": v for c, row in moved.iterrows() for k, v in row.items()}
    return metrics


def factory(settings: Settings) -> Metrics:
    """Held-out blocks of many simulated specimens."""
    return factory_scores.factory(
        factory_scores.specimens(settings.factory),
        lambda seed: [*factory_scores.rivals(seed), settings.coupled(seed)],
    )


# ---------------------------------------------------------------- learning curves


def learning(settings: Settings) -> Metrics:
    """Scores against truth over the share of labels, microscopes and sizes of the map."""
    metrics: Metrics = {}
    one = replace(settings, partitions=1)
    for name in (s for s in settings.specimens if s in SPECIMENS):
        whole = load_any(name)
        worse: dict[str, Callable[[Specimen], Specimen]] = {
            f"{share:g} of the labels": partial(share_of_labels, share=share) for share in SHARES
        }
        worse |= {title: partial(noisy_labels, **how) for title, how in MICROSCOPES.items() if how}
        tables = {
            title: _held_out(whole, one, partial(_trained_on, settings, how)) for title, how in worse.items()
        }
        tables |= {
            title: _held_out(load_any(name, window=window), one, settings.everyone)
            for title, window in SIZES.items()
            if window != WHOLE
        }
        scores = [h.scores("truth", n_boot=0)[0].assign(given=title) for title, h in tables.items()]
        table = pd.concat(scores, ignore_index=True)
        for metric in ("log_loss", "pr_auc_within"):
            print(f"\n{name}: {metric} against truth")
            print(_curve(table, metric).round(3).to_string(), flush=True)
        for title, own in table.groupby("given", sort=False):
            metrics |= _flat(own, f"{name}_{str(title).replace(' ', '_')}_", "value")
    return metrics


def _trained_on(settings: Settings, how: Callable[[Specimen], Specimen], seed: int) -> list[Model]:
    return [Changed(m, m.name, how) for m in settings.everyone(seed)]


def _curve(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    own = table[(table["metric"] == metric) & table["mechanism"].isin(["slip", "twin"])]
    return own.pivot_table(index="given", columns=["mechanism", "model"], values="value", sort=False)


# ---------------------------------------------------------------- stresses


def hot_spots(settings: Settings) -> Metrics:
    """ROC-AUC of the hardest tenth of the grains."""
    metrics: Metrics = {}
    folder = reference_folder()
    for name in (s for s in settings.specimens if s in SPECIMENS and folder is not None):
        table = hot_spot_table(load_any(name), folder / name, settings.coupled())
        print(f"\n{name}: hot spots of grain stress")
        print(table.round(3).to_string(index=False), flush=True)
        metrics |= {f"{name}_{row.model}_roc_auc": row.roc_auc for row in table.itertuples()}
    return metrics


# ---------------------------------------------------------------- scoring


@dataclass(frozen=True)
class HeldOut:
    """Held-out predictions of a specimen in several partitions."""

    virtual: VirtualSpecimen
    runs: list[tuple[pd.DataFrame, Splits]]

    def scores(
        self, against: str, *, corrected: bool = True, n_boot: int = 200
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Scores and gains over the partitions (`evaluation.over_partitions`) of planes, variants, families
        and twinned grains.

        Parameters
        ----------
        against : "truth" or "footprints"
        corrected : against the truth, with what is recorded turned into what is active
        """
        specimen, is_true = self.virtual.specimen, against == "truth"
        labels = self.virtual.truth if is_true else specimen.scored_labels
        every = self.virtual.truth if is_true else specimen.labels  # a family is named by any of its planes
        candidates = None if is_true else specimen.candidates
        runs = []
        for predictions, splits in self.runs:
            answer = evaluation.active(predictions) if is_true and corrected else predictions
            coarse, coarse_labels = evaluation.families_and_twinned_grains(answer, every, candidates)
            runs.append((pd.concat([answer, coarse], ignore_index=True), splits))
        both = pd.concat([labels, coarse_labels], ignore_index=True)
        return evaluation.over_partitions(runs, both, reference=F, n_boot=n_boot)


def _held_out(
    virtual: VirtualSpecimen, settings: Settings, everyone: Callable[[int], list[Model]]
) -> HeldOut:
    """Predictions of the models of a seed, in every partition."""
    runs = []
    for k in range(settings.partitions):
        splits = partition(virtual, k, shells=settings.shells)
        runs.append((models.cross_validate(everyone(settings.seed(k)), virtual.specimen, splits), splits))
    return HeldOut(virtual, runs)


def predict(everyone: Iterable[Model], tested: VirtualSpecimen, trained_on: VirtualSpecimen | None):
    """Predictions of models trained on another specimen, or held-out ones over blocks."""
    if trained_on is None:
        return models.cross_validate(everyone, tested.specimen, tested.splits)
    blind = tested.specimen.with_labels_of([])
    parts = [model.fit([trained_on.specimen]).predict(blind) for model in everyone]
    return pd.concat(parts, ignore_index=True)


def report(
    title: str, held_out: HeldOut, *, gains: bool = True, sides: Sequence[str] = ("truth", "footprints")
) -> Metrics:
    """Print the scores, and the gains of F, against truth and footprints; their numbers."""
    metrics: Metrics = {}
    for against in sides:
        scores, gained = held_out.scores(against)
        table = _wide(pd.concat([_guesses(scores), scores], ignore_index=True))
        if against == "truth":
            plain = held_out.scores("truth", corrected=False, n_boot=0)[0]
            table["log_loss recorded"] = _wide(plain)["log_loss"]
        print(f"\n{title}: against {against}, mean of {len(held_out.runs)} partitions or seeds")
        print(_counts(scores))
        print(table.round(3).to_string(), flush=True)
        metrics |= _flat(scores, f"{title}_{against}_", "value")
        if gains and len(gained):
            print(f"\n{title}: against {against}, what {F} gains over each")
            print(_written(gained).to_string(), flush=True)
            metrics |= _flat(gained, f"{title}_{against}_gain_over_", "gain")
    return metrics


def scored(predictions: pd.DataFrame, labels: pd.DataFrame, candidates, splits: Splits) -> pd.DataFrame:
    """Scores of planes, variants, families and twinned grains in one partition, printed and returned."""
    coarse = evaluation.families_and_twinned_grains(predictions, labels, candidates)
    levels = [(predictions, labels), coarse]
    scores = pd.concat(
        [evaluation.evaluate(p, y, splits=splits, n_boot=100) for p, y in levels], ignore_index=True
    )
    print(_wide(scores).round(3).to_string(), flush=True)
    return scores


def _guesses(scores: pd.DataFrame) -> pd.DataFrame:
    """What the prevalence of the tested labels scores: its entropy, and itself."""
    known = scores.drop_duplicates("mechanism").assign(model="guess")
    p = known["prevalence"].to_numpy(float)
    values = {"log_loss": entr(p) + entr(1 - p), "pr_auc": p}
    return pd.concat([known.assign(metric=m, value=v) for m, v in values.items()], ignore_index=True)


def _counts(scores: pd.DataFrame) -> str:
    known = scores.drop_duplicates("mechanism")
    return "; ".join(
        f"{r.mechanism} {r.n_positive} active, prevalence {r.prevalence:.3f}, {r.n_families} families ranked"
        for r in known.itertuples()
    )


def _wide(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per mechanism and model, one column per score of SHOWN."""
    own = scores[scores["metric"].isin(SHOWN)]
    table = own.pivot_table(
        index=["mechanism", "model"], columns="metric", values="value", sort=False, dropna=False
    )
    return table.reindex(columns=list(SHOWN)).dropna(how="all").sort_index(level=0, sort_remaining=False)


def _written(gains: pd.DataFrame) -> pd.DataFrame:
    """Gains of F as text with interval and verdict, one row per mechanism and model."""
    own = evaluation.with_verdict(gains[gains["metric"].isin(GAINED)].dropna(subset=["gain"]))
    sign = own["verdict"].map({"better": " +", "worse": " -", "tie": ""})
    text = [f"{r.gain:+.3f} [{r.low:+.3f}, {r.high:+.3f}]" for r in own.itertuples()] + sign
    wide = own.assign(text=text).pivot_table(
        index=["mechanism", "model"], columns="metric", values="text", aggfunc="first", sort=False
    )
    return wide.reindex(columns=list(GAINED)).fillna("").sort_index(level=0, sort_remaining=False)


def _flat(table: pd.DataFrame, prefix: str, column: str) -> Metrics:
    """Numbers of SHOWN by name, with the ends of their intervals where there are any."""
    flat: Metrics = {}
    for row in table[table["metric"].isin(SHOWN)].itertuples():
        name = f"{prefix}{row.mechanism}_{row.model}_{row.metric}"
        ends = {f"{name}_{end}": getattr(row, end, np.nan) for end in ("low", "high")}
        flat |= {name: getattr(row, column), **ends}
    return {name: float(value) for name, value in flat.items() if np.isfinite(value)}


def _short(name: str) -> str:
    """The last part of a folder's path, or the name."""
    return name.rstrip("/").rpartition("/")[2]


PARTS: dict[str, Callable[[Settings], Metrics]] = {
    "blocks": blocks,
    "transfer": transfer,
    "crops": crops,
    "shuffled": shuffled,
    "optimism": optimism,
    "learning": learning,
    "hot_spots": hot_spots,
    "ablations": ablations_of,
    "measured": measured,
    "parents": lambda settings: parent_scores.parents(map(load_any, settings.specimens)),
    "factory": factory,
}


if __name__ == "__main__":
    main(sys.argv[1:])
