"""A phase model out of a table of one's own measurements: durations and powers of iterations of an engine.

Fits start from a model that is scaled by sizes (`dynaopt.roofline`): what the rows do not tell stays as it is there.
Nothing is extrapolated: clocks, batches and numbers of prompt tokens of the profile are bounded by those measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from dynaopt.errors import InvalidInputError
from dynaopt.phase_model import FloatArray, PhaseModel, iteration
from dynaopt.phase_reference import rows
from dynaopt.profile_build import BuildSpec
from dynaopt.provenance import Provenance
from dynaopt.tables import Column, read_table

PHASE_COLUMNS = (
    Column("tp", "integer", positive=True),
    Column("frequency_mhz", "integer", positive=True),
    Column("prompt_tokens", "integer", minimum=0),
    Column("batch", "integer", minimum=0),
    Column("context_tokens", minimum=0.0),
    Column("duration_s", positive=True),
    Column("power_w", positive=True),
)
FEWEST_SIZES = 3
"""Fewer batches, or numbers of prompt tokens, do not tell a cost that stays from one that grows."""
ERROR_SCALE = 0.03
# How far, as a power of e, a coefficient may move from the scaled model at the cost of an error of `ERROR_SCALE`.
_REACH = 3.0
_DURATIONS = (
    "memory_base_s",
    "memory_per_sequence_s",
    "memory_per_context_token_s",
    "compute_base_s",
    "compute_per_sequence_s",
    "compute_per_prompt_token_s",
    "attention_per_pair_s",
    "launch_s",
)
_ENERGIES = ("weights_j", "compute_gpu_w")
_SHARES = ("memory_clock_share", "compute_clock_share")


@dataclass(frozen=True, slots=True, eq=False)
class PhaseFit:
    """A phase model fitted to a table.

    Parameters
    ----------
    model
        The phase model.
    duration_errors, power_errors
        Relative errors at the rows, shape (rows,).
    """

    model: PhaseModel
    duration_errors: FloatArray
    power_errors: FloatArray


def is_phase_table(path: str | Path) -> bool:
    """Tell whether a file looks like a table of phases rather than of loads."""
    path = Path(path)
    if path.suffix != ".csv" or not path.is_file():
        return False
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = next((line for line in lines if line and not line.startswith("#")), "")
    return "duration_s" in header


def fit_phase_table(path: str | Path, scaled: PhaseModel) -> PhaseFit:
    """Fit a phase model to a table.

    Parameters
    ----------
    path
        A table with `PHASE_COLUMNS`. A row with `prompt_tokens` is a prefill of `batch` prompts of so many tokens; one
        without a step that decodes `batch` sequences of `context_tokens` each in the mean; one without either an
        instance that is loaded and idle, whose duration does not count.
    scaled
        The model to start from.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there or a cell does not fit, a degree is none of the model's or has too few sizes, or there
        is no idle row.
    """
    table = read_table(path, PHASE_COLUMNS)
    _check(str(path), table, scaled)
    clocks = table["frequency_mhz"]
    tps = sorted(set(table["tp"]))
    idle = table[table["batch"] == 0]
    highest = idle[idle["frequency_mhz"] == idle["frequency_mhz"].max()]
    idle_gpu_w = float((highest["power_w"] / highest["tp"]).mean())
    power = scaled.power.model_copy(
        update={"idle_gpu_w": idle_gpu_w, "no_model_gpu_w": min(idle_gpu_w, scaled.power.no_model_gpu_w)}
    )
    model = scaled.model_copy(
        update={
            "engine": f"measured: {Path(path).name}",
            "max_frequency_mhz": float(clocks.max()),
            "min_frequency_mhz": float(clocks.min()),
            "latency": {tp: scaled.latency[tp] for tp in tps},
            "power": power,
            "provenance": _provenance(Path(path).name, scaled),
        }
    )
    loaded = table[table["batch"] > 0]
    model = _fit(model, loaded)
    durations, powers = _errors(model, loaded)
    return PhaseFit(model, durations, powers)


def spec_within(spec: BuildSpec, path: str | Path) -> BuildSpec:
    """Return a specification that goes no further than a table: its clocks, its batches, its prompt tokens at once.

    Parameters
    ----------
    spec
        Of the language model on the GPU.
    path
        The table.
    """
    table = read_table(path, PHASE_COLUMNS)
    tokens = table["prompt_tokens"] * table["batch"]
    most_batch = int(table.loc[table["prompt_tokens"] == 0, "batch"].max())
    budgets = tuple(budget for budget in spec.token_budgets if budget <= tokens.max())
    provenance = (
        Provenance(
            quantity="load.csv, mix.csv: power and latencies at load",
            basis="modelled",
            source=f"dynaopt's instance simulator on a phase model fitted to {Path(path).name}",
            licence="your own",
            note=f"Clocks, batches up to {most_batch} and budgets up to {max(budgets, default=0)} tokens as measured.",
        ),
        *spec.provenance[1:],
    )
    update = {
        "frequencies_mhz": tuple(sorted({int(f) for f in table["frequency_mhz"]})),
        "token_budgets": budgets,
        "max_num_seqs": min(spec.max_num_seqs, most_batch),
        "provenance": provenance,
    }
    return spec.model_copy(update=update)


def _check(where: str, table: pd.DataFrame, scaled: PhaseModel) -> None:
    for tp in sorted({int(tp) for tp in table["tp"]}):
        own = table[table["tp"] == tp]
        if tp not in scaled.tps:
            expected = f"degrees on which the model fits: {', '.join(map(str, scaled.tps))}"
            raise InvalidInputError(where, expected=expected, found=f"TP{tp}")
        fastest = own[own["frequency_mhz"] == own["frequency_mhz"].max()]
        prefills = fastest[(fastest["prompt_tokens"] > 0) & (fastest["batch"] > 0)]
        sizes = {
            "batches of decode steps": fastest.loc[(fastest["prompt_tokens"] == 0) & (fastest["batch"] > 0), "batch"],
            "numbers of prompt tokens": prefills["prompt_tokens"] * prefills["batch"],
        }
        for what, values in sizes.items():
            if values.nunique() < FEWEST_SIZES:
                expected = f"at least {FEWEST_SIZES} {what} on TP{tp} at the highest clock"
                raise InvalidInputError(where, expected=expected, found=str(values.nunique()))
    if not (table["batch"] == 0).any():
        raise InvalidInputError(where, expected="a row of batch 0, the loaded instance that is idle", found="none")
    fastest_mhz = table["frequency_mhz"].max()
    if not (table.loc[table["batch"] == 0, "frequency_mhz"] == fastest_mhz).any():
        raise InvalidInputError(where, expected=f"a row of batch 0 at {fastest_mhz} MHz", found="other clocks only")
    most = int((table["prompt_tokens"] * table["batch"]).max())
    if most < 512:
        expected = "prefills of 512 tokens at once or more, as an iteration has"
        raise InvalidInputError(where, expected=expected, found=f"at most {most}")


def _fit(start: PhaseModel, loaded: pd.DataFrame) -> PhaseModel:
    """Fit durations and powers together, since powers tell how a duration splits into reading and computing.

    The shares of powers that follow the clock are fitted where there are several clocks.
    """
    durations = [(tp, name) for tp in start.tps for name in _DURATIONS if getattr(start.latency[tp], name) > 0]
    powers = [*_ENERGIES, *(_SHARES if len(set(loaded["frequency_mhz"])) > 1 else ())]

    def at(steps: FloatArray) -> PhaseModel:
        factors = np.exp(steps)
        latency = dict(start.latency)
        for (tp, name), factor in zip(durations, factors, strict=False):
            latency[tp] = latency[tp].model_copy(update={name: getattr(start.latency[tp], name) * float(factor)})
        update = {
            name: getattr(start.power, name) * float(factor)
            for name, factor in zip(powers, factors[len(durations) :], strict=True)
        }
        update |= {name: min(1.0, value) for name, value in update.items() if name in _SHARES}
        update["context_token_j"] = update["weights_j"] / start.weights_bytes * start.kv_bytes_per_token
        return start.model_copy(update={"latency": latency, "power": start.power.model_copy(update=update)})

    def residuals(steps: FloatArray) -> FloatArray:
        errors = np.concatenate(_errors(at(steps), loaded))
        return np.concatenate([np.log1p(errors) / ERROR_SCALE, steps / _REACH])

    return at(least_squares(residuals, np.zeros(len(durations) + len(powers))).x)


def _errors(model: PhaseModel, loaded: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    found = []
    for row in rows(loaded):
        coefficients = model.coefficients(row.tp, row.frequency_mhz)
        if row.prompt_tokens:
            found.append(iteration(coefficients, float(row.prompt_tokens * row.batch), row.prompt_tokens / 2, 0.0, 0.0))
        else:
            found.append(iteration(coefficients, 0.0, 0.0, float(row.batch), row.batch * row.context_tokens))
    duration_s, power_w = np.array(found).T
    return duration_s / loaded["duration_s"].to_numpy() - 1, power_w / loaded["power_w"].to_numpy() - 1


def _provenance(name: str, scaled: PhaseModel) -> tuple[Provenance, ...]:
    measured = (
        Provenance(
            quantity="latency, power",
            basis="fitted",
            source=name,
            licence="your own",
            note="What its rows do not tell is that of the scaled model below.",
        ),
    )
    return (*measured, *scaled.provenance)
