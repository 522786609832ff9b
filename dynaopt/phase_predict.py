"""What a phase model predicts for the quantities that were measured: prompt times, decode steps, serving at a batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from dynaopt.phase_model import FloatArray, PhaseModel, iteration

# Share of the Poisson distribution of prompts per iteration that `serving` may leave out.
_TAIL = 1e-6


def prompt_time_s(
    model: PhaseModel, tp: int, prompt_tokens: float, batch: int = 1, *, frequency_mhz: float | None = None
) -> float:
    """Return the time of a prefill that computes whole prompts in one iteration, in seconds.

    Parameters
    ----------
    model
        The phase model.
    tp
        Tensor-parallel degree.
    prompt_tokens
        Length of each prompt.
    batch
        How many prompts.
    frequency_mhz
        GPU clock, in MHz; the highest by default.
    """
    coefficients = model.coefficients(tp, frequency_mhz or model.max_frequency_mhz)
    return float(iteration(coefficients, batch * prompt_tokens, prompt_tokens / 2, 0.0, 0.0)[0])


def decode_step_s(
    model: PhaseModel, tp: int, batch: float, context_tokens: float, *, frequency_mhz: float | None = None
) -> float:
    """Return the time of an iteration that only decodes, in seconds.

    Parameters
    ----------
    model, tp, frequency_mhz
        As in `prompt_time_s`.
    batch
        Sequences that get one token each.
    context_tokens
        Mean context of one of them.
    """
    coefficients = model.coefficients(tp, frequency_mhz or model.max_frequency_mhz)
    return float(iteration(coefficients, 0.0, 0.0, batch, batch * context_tokens)[0])


def serving(
    model: PhaseModel, tp: int, batch: float, output_tokens: float, prompt_tokens: float, context_tokens: float
) -> tuple[float, float]:
    """Return mean duration and mean power of the iterations of a server that is always full.

    A sequence that ends makes room for the next, so that an iteration takes in batch / `output_tokens` prompts on
    average; their number is taken as Poisson, as for ends that do not depend on each other.

    Parameters
    ----------
    model, tp, batch, context_tokens
        As in `decode_step_s`; at the highest clock.
    output_tokens, prompt_tokens
        Mean lengths of a request.

    Returns
    -------
    duration_s, power_w : float
        Seconds, and watts of the whole instance.
    """
    coefficients = model.coefficients(tp, model.max_frequency_mhz)
    weights = _weights_of_prompts(batch / output_tokens)
    parts = [
        iteration(coefficients, k * prompt_tokens, prompt_tokens / 2, batch, batch * context_tokens)
        for k in range(len(weights))
    ]
    durations_s, powers_w = np.array(parts).T
    duration_s = float(weights @ durations_s)
    energy_j = float(weights @ (durations_s * powers_w))
    return duration_s, energy_j / duration_s


@lru_cache(maxsize=256)
def _weights_of_prompts(mean: float) -> FloatArray:
    """Return how often an iteration takes in 0, 1, … prompts; fits ask for the same means over and over."""
    # From SciPy's special functions, for its statistics take half a second to import. No Poisson tail of 1e-6 lies
    # further out than this.
    prompts = np.arange(int(mean + 6 * np.sqrt(mean)) + 9)
    weights = np.exp(prompts * np.log(mean) - mean - gammaln(prompts + 1))
    weights = weights[: int(np.searchsorted(np.cumsum(weights), 1 - _TAIL)) + 1]
    shares: FloatArray = weights / weights.sum()
    return shares


def clock_exponent(low: float, high: float, low_mhz: float, high_mhz: float) -> float:
    """Return k for which a quantity that goes as the clock to the power of k has these two values.

    Parameters
    ----------
    low, high
        The quantity at the two clocks.
    low_mhz, high_mhz
        The clocks, in MHz.
    """
    return float(np.log(high / low) / np.log(high_mhz / low_mhz))
