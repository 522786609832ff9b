"""Print the tables about a profile that stand in `docs/profiles.md` and `docs/profiles-fitted.md`, as Markdown.

    python scripts/profile_tables.py [NAME…] [--phase]

For each profile what every class and mix carries within its SLO, and what a request takes there; with ``--phase`` what
the phase model says of the energy of a token first. The same profile gives the same tables.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from dynaopt import read_profile
from dynaopt.phase_model import PhaseModel, iteration
from dynaopt.profile import Profile
from dynaopt.profile_build import read_build_spec
from dynaopt.profile_io import list_profiles
from dynaopt.slo import Slo

PROMPTS = (512, 2048)
BATCHES = (8, 64, 256)
CONTEXT_TOKENS = 500.0
EVERY = 2
"""Of the clocks every second one is shown, the highest among them."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list_profiles(), metavar="NAME")
    parser.add_argument("--phase", action="store_true", help="tell of the phase model, too")
    options = parser.parse_args()
    for name in options.names:
        profile = read_profile(name)
        print(f"\n{name} {profile.metadata.version}\n")
        if options.phase and profile.phase_model is not None:
            print("\n".join(energy_rows(profile.phase_model, profile.frequencies_mhz)), end="\n\n")
        spec = read_build_spec(name)
        print("\n".join(load_rows(profile, spec.workloads, spec.slo)))


def energy_rows(model: PhaseModel, frequencies_mhz: tuple[int, ...]) -> Iterator[str]:
    """Give joules per prompt token, and per output token at some batches, as rows of a table."""
    yield "| TP | MHz | " + " | ".join([*(f"prompt {n:,}" for n in PROMPTS), *(f"batch {n}" for n in BATCHES)]) + " |"
    yield "|---|---|" + "---|" * (len(PROMPTS) + len(BATCHES))
    for tp in model.tps:
        for mhz in frequencies_mhz[::-1][::EVERY][::-1]:
            c = model.coefficients(tp, mhz)
            parts = [(n, iteration(c, float(n), n / 2, 0.0, 0.0)) for n in PROMPTS]
            parts += [(n, iteration(c, 0.0, 0.0, float(n), n * CONTEXT_TOKENS)) for n in BATCHES]
            cells = [f"{duration_s * power_w / n:.2f}" for n, (duration_s, power_w) in parts]
            yield f"| {tp} | {mhz:,} | " + " | ".join(cells) + " |"


def load_rows(profile: Profile, workloads: tuple[str, ...], slo: Slo) -> Iterator[str]:
    """Give the highest load within the SLO at the highest clock, and the joules of a request at the cheapest clock."""
    tps = profile.tps
    yield "| class | " + " | ".join([*(f"TP{tp}" for tp in tps), *(f"J on TP{tp}" for tp in tps)]) + " |"
    yield "|---|" + "---|" * (2 * len(tps))
    top = max(profile.frequencies_mhz)
    for name in workloads:
        rates, joules = [], []
        for tp in tps:
            kept = {
                key[1]: (rate, curve.power_at_w(rate) / rate)
                for key, curve in profile.curves.items()
                if key[::2] == (tp, name) and (rate := curve.slo_rate_rps(slo)) is not None
            }
            rates.append(f"{kept[top][0]:.3g}" if top in kept else "–")
            mhz = min(kept, key=lambda mhz: kept[mhz][1], default=None)
            joules.append("–" if mhz is None else f"{np.round(kept[mhz][1]):,.0f} at {mhz:,} MHz")
        yield f"| {name} | " + " | ".join(rates + joules) + " |"


if __name__ == "__main__":
    main()
