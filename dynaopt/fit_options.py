"""How a phase model is fitted: what differs from one set of measurements to another."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynaopt.provenance import Positive, Section


class FitOptions(Section):
    """Choices of a fit, as ``fit.toml`` beside the reference points holds them.

    Parameters
    ----------
    base_tp
        The tensor-parallel degree on which the newest engine was measured, and at which exponents of the clock hold.
    bandwidth_bytes_per_s
        Memory bandwidth of one GPU.
    guess_scale
        How many times longer first guesses and limits of durations are than on an H100.
    serving_prompt_tokens
        Mean prompt of the served requests.
    largest_batch
        Full servers with a larger limit are left out: no instance of a profile is ever so full.
    prefill_scaled
        Whether the prefills were measured on another GPU, so that all costs of prompts are multiplied by one factor,
        with which full servers take as long as measured.
    launch_quickened
        Whether the engine whose decode steps were measured is newer than that of the prefills: then what an iteration
        with prompts costs beyond both got shorter by as much as a decode step of one sequence did.
    power_of
        Name of the phase model of another language model on the same GPU, whose powers hold by byte read and by time of
        computing; empty when powers were measured.
    power_check
        Name of one whose powers, carried over in the same way, are compared with those measured here; may be empty.
    """

    base_tp: Annotated[int, Field(gt=0)] = 4
    bandwidth_bytes_per_s: Positive = 3.35e12
    guess_scale: Positive = 1.0
    serving_prompt_tokens: Positive = 175.0
    largest_batch: Annotated[int, Field(gt=0)] = 1024
    prefill_scaled: bool = False
    launch_quickened: bool = False
    power_of: str = ""
    power_check: str = ""
