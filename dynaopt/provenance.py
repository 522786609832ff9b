"""Where a number comes from: the words that profiles and phase models share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Part of a TOML file: never changes, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(Section):
    """Where one quantity comes from: how it was got, from what source, under which licence."""

    quantity: str
    basis: Literal["measured", "fitted", "modelled", "assumed"]
    source: str
    licence: str
    note: str = ""
