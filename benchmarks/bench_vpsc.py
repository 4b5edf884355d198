"""Agreement with VPSC8: every reference case, the largest deviation of each quantity beside its bound.

Run: python benchmarks/bench_vpsc.py [part of a case name ...]. Reads the folder vpsc/ below CPML_REFERENCE;
says so when it is missing. Ends with one line per group of cases and the number of cases that pass.
"""

import sys
import time

import torch

from benchmarks.vpsc import compare_case
from benchmarks.vpsc_cases import case_names
from cpml import paths


def main(*parts: str) -> dict[str, bool]:
    """Print the table; returns whether each case passes."""
    torch.set_num_threads(1)
    folder = paths.from_environment("CPML_REFERENCE")
    if folder is None or not (folder / "vpsc").is_dir():
        print("no reference cases: set CPML_REFERENCE to the folder that holds vpsc/")
        return {}
    folder = folder / "vpsc"
    names = [name for name in case_names(folder) if not parts or any(part in name for part in parts)]
    print(f"{'case':42s} {'quantity':26s} {'reference':>13s} {'cpml':>13s} {'deviation':>10s} {'bound':>7s}")
    passed, worst = {}, {}
    for name in names:
        start = time.perf_counter()
        try:
            rows = compare_case(folder, name)
        except Exception as error:  # one case that raises must not hide the others
            print(f"{name:42s} RAISED {type(error).__name__}: {error}", flush=True)
            passed[name] = False
            continue
        seconds = time.perf_counter() - start
        for row in rows:
            print(
                f"{name:42s} {row.quantity:26s} {row.reference:13.6g} {row.ours:13.6g} {row.deviation:10.1e} "
                f"{row.bound:7.0e} {'pass' if row.passed else 'FAIL'}"
            )
        passed[name] = all(row.passed for row in rows)
        for row in rows:
            key = (name[0], row.quantity)
            worst[key] = max(worst.get(key, 0.0), row.deviation)
        print(f"{name:42s} {'pass' if passed[name] else 'FAIL'} in {seconds:.2f} s", flush=True)
    print("largest deviation by group")
    for (group, quantity), value in sorted(worst.items()):
        print(f"  {group}  {quantity:26s} {value:.1e}")
    print(f"{sum(passed.values())} of {len(passed)} cases pass")
    return passed


if __name__ == "__main__":
    main(*sys.argv[1:])
