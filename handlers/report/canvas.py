"""How a plot of the report is drawn: one style, and SVG as text of its own.

Called by the modules of plots. Figures without pyplot: no display, nothing that outlives a plot.
"""

import io
import warnings
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handlers.wording import short

CANDIDATE, CHAMPION, MUTED, PALE = "#0b5cad", "#c2500a", "#6b7280", "#b4bac4"
"""Told apart by colour-blind people too; lines differ in their dashes besides."""
ABOVE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": 3}
"""Where a legend covers nothing."""
WIDTH, HEIGHT = 4.8, 3.4
_LONGEST = 26
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: any script, and a fifth of the size
    "svg.hashsalt": "steward",  # the same plot is the same bytes
    "text.parse_math": False,  # a column may be called $price$
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 9.5,
}


@dataclass(frozen=True, slots=True)
class Sides:
    """How the two versions are called and drawn, everywhere alike."""

    candidate: str

    def name(self, version: str) -> str:
        """As people call it: ``version 7 (candidate)``."""
        return f"version {version} ({'candidate' if self._is_candidate(version) else 'Production'})"

    def style(self, version: str) -> dict[str, Any]:
        """Colour and dashes of its lines."""
        if self._is_candidate(version):
            return {"color": CANDIDATE, "linestyle": "-"}
        return {"color": CHAMPION, "linestyle": "--"}

    def _is_candidate(self, version: str) -> bool:
        return version == self.candidate


@dataclass(frozen=True, slots=True)
class Plot:
    """One drawing; ``caption`` says how to read it, ``alt`` what it shows who cannot see it."""

    title: str
    caption: str
    alt: str
    svg: bytes

    @property
    def source(self) -> str:
        """The drawing as the address of an image, all of it within the page."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg).decode()}"


def drawn(paint: Callable[[Axes], None], *, height: float = HEIGHT) -> bytes:
    """An SVG document of one pair of axes."""
    return drawn_beside([paint], height=height)


def drawn_beside(paints: Sequence[Callable[[Axes], None]], *, height: float = HEIGHT) -> bytes:
    """An SVG document of axes side by side, which share the vertical one."""
    with rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's font has it
        figure = Figure((WIDTH, height), layout="constrained")
        cells = figure.subplots(1, len(paints), sharey=True, squeeze=False)
        for paint, axes in zip(paints, cells.flat, strict=True):
            paint(axes)
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def tick(text: str) -> str:
    """A name as an axis has room for it, without characters that SVG forbids."""
    line = short(text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
