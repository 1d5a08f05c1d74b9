"""Print the p-values of taught against alone on cohorts where there is nothing to be taught, end to end.

Each seed is another cohort, another draw of initialisation, batches and folds. A sound road from recordings to a
verdict gives p-values that look uniform: about 5 in 100 below 0.05. Balanced accuracies are coarse, though, and two
arms that learned nearly the same often tie: then p-values pile up at 1, which is conservative. Ties broken by chance
give p-values that are uniform exactly, and the Kolmogorov-Smirnov test is made on these as well.

Usage: python benchmarks/null_cohorts.py [--seeds 20] [--jobs 2] [--out runs]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import kstest

import limbeck

STUDIES = Path(__file__).resolve().parents[1] / "studies"


def broken_ties(differences: np.ndarray, seed: int, flips: int = 20_000) -> float:
    """Return the p-value of the sign-flip test with ties broken by chance."""
    generator = np.random.default_rng(seed)
    sums = np.abs(generator.choice([-1.0, 1.0], size=(flips, len(differences))) @ differences)
    observed = abs(differences.sum())
    beyond, tied = (sums > observed + 1e-9).mean(), (np.abs(sums - observed) <= 1e-9).mean()
    return float(beyond + generator.random() * tied)


def one(name: str, seed: int, out: str) -> tuple[float, float, bool, float]:
    """Run one study on one cohort; return gain (points), p-value, whether it was claimed, and p with ties broken."""
    overrides = [f"data.options.seed={seed}", f"protocol.seed={seed}", f"protocol.seeds=[{seed}]"]
    run = limbeck.run(STUDIES / f"{name}.yaml", out=out, jobs=1, overrides=overrides)
    judgement = run.judgements[0]
    verdict = judgement.verdicts[0]
    differences = (judgement.per_subject["taught"] - judgement.per_subject["alone"]).to_numpy()
    (over_alone,) = [difference for difference in verdict.differences if difference.kind == "alone"]
    return 100 * over_alone.gain.estimate, over_alone.p_sign_flip, verdict.claim, broken_ties(differences, seed)


def main() -> None:
    """Run the null cohorts and print a line per cohort."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default="runs")
    parser.add_argument("--studies", nargs="+", default=["privileged_useless", "no_signal"])
    arguments = parser.parse_args()
    for name in arguments.studies:
        start = time.perf_counter()
        found = Parallel(n_jobs=arguments.jobs)(
            delayed(one)(name, seed, arguments.out) for seed in range(arguments.seeds)
        )
        gains, p_values, claims, broken = (np.array(column) for column in zip(*found, strict=True))
        print(f"{name}: {arguments.seeds} cohorts in {time.perf_counter() - start:.0f} s")
        print("  p, taught against alone:", " ".join(f"{p:.3f}" for p in np.sort(p_values)))
        print(f"  mean gain {gains.mean():+.2f} points (standard error {gains.std(ddof=1) / len(gains) ** 0.5:.2f})")
        print(
            f"  below 0.05: {(p_values < 0.05).sum()} of {len(p_values)}; "
            f"Kolmogorov-Smirnov against uniform: p = {kstest(p_values, 'uniform').pvalue:.3f}; claims: {claims.sum()}"
        )
        print("  p with ties broken by chance:", " ".join(f"{p:.3f}" for p in np.sort(broken)))
        print(
            f"  below 0.05: {(broken < 0.05).sum()} of {len(broken)}; "
            f"Kolmogorov-Smirnov against uniform: p = {kstest(broken, 'uniform').pvalue:.3f}; "
            f"cohorts without any difference in the mean: {(np.abs(gains) < 1e-9).sum()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
