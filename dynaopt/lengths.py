"""How long requests are: histograms of input and output lengths, and samples drawn from them.

The package ships one for each service of the Azure LLM inference trace 2024; `scripts/derive_weeks.py` derives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dynaopt.errors import UnknownNameError
from dynaopt.request_class import LENGTHS, MIX_PREFIX, REQUEST_CLASSES, CutPoints, part_name
from dynaopt.tables import Column, read_table

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LENGTH_COLUMNS = (
    Column("input_tokens", positive=True),
    Column("output_tokens", positive=True),
    Column("weight", minimum=0.0),
)
# Requests in each service's week: shared/data/README.md, Azure LLM inference trace 2024.
SERVICE_REQUESTS = {"conversation": 27_303_999, "coding": 16_803_695}


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """A joint distribution of input and output lengths; all arrays have shape (cells,).

    Parameters
    ----------
    input_tokens, output_tokens
        Lengths of the requests in each cell, rounded up.
    weight
        How many requests a cell stands for, on any scale.
    """

    input_tokens: IntArray
    output_tokens: IntArray
    weight: FloatArray

    def shares(self, cut_points: CutPoints) -> dict[str, float]:
        """Return the share of requests of each class that occurs; they add up to 1."""
        index = cut_points.classify(self.input_tokens, self.output_tokens)
        weights = np.bincount(index, self.weight, minlength=len(REQUEST_CLASSES)) / self.weight.sum()
        return {c: float(w) for c, w in zip(REQUEST_CLASSES, weights, strict=True) if w > 0}

    def of_class(self, request_class: str, cut_points: CutPoints) -> Lengths:
        """Return the cells of one class; possibly none."""
        index = cut_points.classify(self.input_tokens, self.output_tokens)
        keep = index == REQUEST_CLASSES.index(request_class)
        return Lengths(self.input_tokens[keep], self.output_tokens[keep], self.weight[keep])

    def of_inputs(self, letter: str, cut_points: CutPoints) -> Lengths:
        """Return the cells of the three classes of one input length, ``"S"``, ``"M"`` or ``"L"``; possibly none."""
        index = cut_points.classify(self.input_tokens, self.output_tokens)
        keep = np.isin(index, [n for n, c in enumerate(REQUEST_CLASSES) if c[0] == letter])
        return Lengths(self.input_tokens[keep], self.output_tokens[keep], self.weight[keep])

    @property
    def longest_tokens(self) -> int:
        """Input and output of the request that needs most KV cache."""
        return int((self.input_tokens + self.output_tokens).max())

    def sample(self, size: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw requests in random order, each cell as often as its weight says, rounded up or down.

        Parameters
        ----------
        size
            How many.
        rng
            Source of chance.

        Returns
        -------
        input_tokens, output_tokens : numpy.ndarray
            Shape (size,) each.
        """
        upper = np.cumsum(self.weight) / self.weight.sum()
        at = np.searchsorted(upper[:-1], (np.arange(size) + rng.random()) / size, side="right")
        at = rng.permutation(at)
        return self.input_tokens[at], self.output_tokens[at]


def read_lengths(path: str | Path) -> Lengths:
    """Read a histogram from a table with the columns ``input_tokens, output_tokens, weight``.

    Raises
    ------
    MissingFileError, InvalidInputError
        If the file is not there or a cell does not fit.
    """
    frame = read_table(path, LENGTH_COLUMNS)
    return Lengths(
        np.ceil(frame["input_tokens"].to_numpy(float)).astype(np.int64),
        np.ceil(frame["output_tokens"].to_numpy(float)).astype(np.int64),
        frame["weight"].to_numpy(float),
    )


def service_lengths(service: str) -> Lengths:
    """Return the lengths of one service's week, weighted by its requests.

    Parameters
    ----------
    service
        ``"conversation"`` or ``"coding"``.

    Raises
    ------
    UnknownNameError
        If the package ships none of that name.
    """
    if service not in SERVICE_REQUESTS:
        raise UnknownNameError("service", expected=f"one of {', '.join(SERVICE_REQUESTS)}", found=f"'{service}'")
    with resources.as_file(resources.files("dynaopt") / "data" / f"lengths-azure-2024-{service}.csv") as path:
        lengths = read_lengths(path)
    scale = SERVICE_REQUESTS[service] / lengths.weight.sum()
    return Lengths(lengths.input_tokens, lengths.output_tokens, lengths.weight * scale)


def mix_lengths(mix: str, cut_points: CutPoints) -> Lengths:
    """Return the lengths of a service's requests, or of those of one input length.

    Parameters
    ----------
    mix
        A service, ``"conversation"`` or ``"coding"``; or one with ``-S``, ``-M`` or ``-L`` behind it, for the requests
        with such inputs only.
    cut_points
        Where inputs are cut.

    Raises
    ------
    UnknownNameError
        If there is no such mix, or it has no requests.
    """
    service, dash, letter = mix.partition("-")
    lengths = service_lengths(service) if service in SERVICE_REQUESTS else None
    if lengths is not None and dash:
        lengths = lengths.of_inputs(letter, cut_points)
    if lengths is None or not lengths.weight.sum() > 0:
        services = ", ".join(SERVICE_REQUESTS)
        expected = f"one of {services}, or one of them with -S, -M or -L for the requests with such inputs"
        raise UnknownNameError("mix", expected=expected, found=f"'{mix}'")
    return lengths


def workload_lengths(name: str, cut_points: CutPoints) -> Lengths:
    """Return the shipped lengths of a class or of a mix.

    Parameters
    ----------
    name
        A request class, whose lengths come from both services by their numbers of requests; or ``ALL-`` and a mix, as
        `mix_lengths` knows it.
    cut_points
        Where classes are cut.

    Raises
    ------
    UnknownNameError
        If there is no such mix.
    """
    if name.startswith(MIX_PREFIX):
        return mix_lengths(name.removeprefix(MIX_PREFIX), cut_points)
    return merged([service_lengths(service) for service in SERVICE_REQUESTS]).of_class(name, cut_points)


def whole_and_parts(name: str, lengths: Lengths, cut_points: CutPoints) -> dict[str, Lengths]:
    """Cut the lengths of a mix by input length.

    Parameters
    ----------
    name
        Of the mix.
    lengths
        Of its requests.
    cut_points
        Where inputs are cut.

    Returns
    -------
    dict
        The whole by its name, then the parts that have requests, by the name with ``-S``, ``-M`` or ``-L`` behind it.
    """
    parts = {part_name(name, letter): lengths.of_inputs(letter, cut_points) for letter in LENGTHS}
    return {name: lengths, **{part: own for part, own in parts.items() if own.weight.sum() > 0}}


def merged(parts: Sequence[Lengths]) -> Lengths:
    """Put several distributions together, each with its own weight."""
    return Lengths(
        np.concatenate([p.input_tokens for p in parts]),
        np.concatenate([p.output_tokens for p in parts]),
        np.concatenate([p.weight for p in parts]),
    )
