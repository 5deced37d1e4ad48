"""The policy's section ``sandbox``: what a model may be, and may use, where it is examined."""

from typing import Annotated, Literal

from pydantic import Field

from steward.policy.section import Section

Level = Literal["L1", "L2"]
Format = Literal["skops", "cloudpickle", "pickle"]
ALL_FORMATS: tuple[Format, ...] = ("skops", "cloudpickle", "pickle")


class Sandbox(Section):
    """Limits of one examination.

    ``min_level``: L1 is a process of its own with limits; L2 is that without a network.
    ``cpu_s``, ``mem_mib``: CPU seconds of all of it, MiB of memory beyond the libraries'.
    ``wall_s``: seconds by the clock for loading, and again for each answer. ``formats``: as which
    a model's objects may be stored. ``trusted``: exact names of functions, classes and loader
    modules that a model may use beside the ones of our own list.
    """

    min_level: Level = "L1"
    cpu_s: Annotated[int, Field(ge=1, le=86_400)] = 60
    mem_mib: Annotated[int, Field(ge=64, le=1_048_576)] = 4096
    wall_s: Annotated[float, Field(gt=0, le=86_400)] = 120.0
    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = ALL_FORMATS
    trusted: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*\.[\w.]+$")], ...] = ()
