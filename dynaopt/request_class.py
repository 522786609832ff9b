"""Request classes: two letters, input length then output length, from S, M and L.

Source of the scheme and of the default cut-points: DynamoLLM (HPCA 2025), Table IV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dynaopt.errors import InvalidInputError

LENGTHS = ("S", "M", "L")
REQUEST_CLASSES = tuple(i + o for i in LENGTHS for o in LENGTHS)
MIX_PREFIX = "ALL-"


def is_promotable(request_class: str, pool: str) -> bool:
    """Tell whether a pool may serve a class: it is at least as long in both lengths.

    Parameters
    ----------
    request_class
        Class of the request, for example ``"SM"``.
    pool
        Class that the pool is named after. A class may always be served by its own pool.
    """
    return all(LENGTHS.index(p) >= LENGTHS.index(c) for c, p in zip(request_class, pool, strict=True))


def part_name(mix: str, letter: str) -> str:
    """Return the name of a mix's part of one input length, for example ``"ALL-conversation-S"``."""
    return f"{mix}-{letter}"


def is_part(mix: str) -> bool:
    """Tell whether a mix goes by the name of a part of one input length."""
    return mix.endswith(tuple(part_name("", letter) for letter in LENGTHS))


@dataclass(frozen=True, slots=True)
class CutPoints:
    """Where the lengths of requests are cut into S, M and L.

    Parameters
    ----------
    input_tokens
        The longest S input and the longest M input, in tokens.
    output_tokens
        The longest S output and the longest M output, in tokens.

    Raises
    ------
    InvalidInputError
        If a pair is not two positive, increasing numbers.
    """

    input_tokens: tuple[int, int] = (255, 1023)
    output_tokens: tuple[int, int] = (99, 349)

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens"):
            short, medium = getattr(self, name)
            if not 0 < short < medium:
                raise InvalidInputError(
                    f"cut-points, {name}", expected="two positive, increasing numbers", found=f"{short}, {medium}"
                )

    @classmethod
    def of_terciles(cls, input_tokens: Sequence[int], output_tokens: Sequence[int]) -> CutPoints:
        """Cut a sample of requests into thirds, as the figures of the DynamoLLM paper do.

        Parameters
        ----------
        input_tokens, output_tokens
            Lengths of the same requests, in tokens.
        """
        quantiles = [1 / 3, 2 / 3]
        cut_in = np.quantile(np.asarray(input_tokens), quantiles, method="lower")
        cut_out = np.quantile(np.asarray(output_tokens), quantiles, method="lower")
        return cls((int(cut_in[0]), int(cut_in[1])), (int(cut_out[0]), int(cut_out[1])))

    def classify(self, input_tokens: npt.ArrayLike, output_tokens: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return the index into `REQUEST_CLASSES` of each request.

        Parameters
        ----------
        input_tokens, output_tokens
            Lengths in tokens, of the same shape.
        """
        i = np.searchsorted(np.asarray(self.input_tokens), np.asarray(input_tokens), side="left")
        o = np.searchsorted(np.asarray(self.output_tokens), np.asarray(output_tokens), side="left")
        return 3 * i + o


TABLE_IV = CutPoints()
