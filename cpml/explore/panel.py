"""The widgets of an explorer: canvas, sliders, card; they hold no state of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from math import log10
from typing import Any

import ipywidgets as widgets
from ipympl.backend_nbagg import Canvas, FigureManager

from cpml.errors import CpmlError
from cpml.explore.settings import DECLARED, KINDS, SCHEMES, THRESHOLDS

RATIOS = (0.1, 100.0)
"""Strength over that of the first family, ends of the slider."""
NAMES = {"description_width": "124px"}
QUIET = "color: var(--jp-ui-font-color2, #505050)"
LOUD = "color: var(--jp-error-color0, #a40000)"
HINT = f'<p style="{QUIET}; margin: 8px 2px">Click on a grain, or type its number.</p>'


class Panel:
    """What is clicked and moved.

    Parameters
    ----------
    explorer : the `GrainExplorer` whose state is shown

    Attributes
    ----------
    box : everything, to be displayed
    canvas : of ipympl
    colouring, grain, threshold, kind, angle, scheme : the widgets
    strengths : phase -> family -> slider
    card, status : HTML widgets
    """

    def __init__(self, explorer: Any):
        self.explorer = explorer
        self._is_following = False
        self.canvas = Canvas(explorer.drawn.figure)
        self.canvas.header_visible = False
        self.canvas.resizable = False
        self.canvas.toolbar_position = "bottom"
        self.canvas.toolbar_visible = True
        self.manager = FigureManager(self.canvas, 0)
        self.canvas.mpl_connect("button_press_event", self._clicked)
        explorer.drawn.ax.format_coord = self._position
        self.card = widgets.HTML(HINT)
        self.status = widgets.HTML()
        self._make_controls()
        self.box = self._laid_out()
        self.follow()

    def follow(self) -> None:
        """Show the state of the explorer in all widgets."""
        explorer, settings = self.explorer, self.explorer.settings
        with self._quietly():
            self.colouring.options = explorer.colourings
            self.colouring.value = explorer.colouring
            self.grain.max = int(explorer.situation.grains.index.max())
            self.grain.value = explorer.grain_id or 0
            self.threshold.value = self._threshold_shown()
            self.kind.value, self.angle.value, self.scheme.value = (
                settings.kind,
                settings.angle,
                settings.scheme,
            )
            self.angle.disabled = settings.kind == DECLARED
            for number, name in self._phases().items():
                for family, ratio in explorer.situation.strengths(number).items():
                    if family in self.strengths[name]:
                        self.strengths[name][family].value = ratio
        self.status.value = _line(explorer.summary, QUIET)
        found = explorer.current_card
        self.card.value = HINT if found is None else found.html
        self.canvas.draw_idle()

    def _make_controls(self) -> None:
        explorer, survey = self.explorer, self.explorer.survey
        wide = widgets.Layout(width="348px")
        look = {"layout": wide, "style": NAMES}
        slow = {"continuous_update": False}
        low, high = THRESHOLDS
        self.colouring = widgets.Dropdown(options=explorer.colourings, description="colour", **look)
        self.grain = widgets.BoundedIntText(0, min=0, max=10**9, description="grain", **look)
        threshold = "grains differ by / °"
        self.threshold = widgets.FloatSlider(
            5.0, min=low, max=high, step=0.5, description=threshold, readout_format=".1f", **look, **slow
        )
        self.kind = widgets.Dropdown(options=(DECLARED, *KINDS), description="load", **look)
        self.angle = widgets.FloatSlider(
            0.0, min=0, max=180, step=1, description="its axis to x / °", readout_format=".0f", **look, **slow
        )
        schemes = [(name, scheme) for scheme, name in SCHEMES.items()]
        self.scheme = widgets.Dropdown(options=schemes, description="stress of a grain", **look)
        self.strengths = {
            name: self._ratio_sliders(number, look | slow) for number, name in self._phases().items()
        }
        self.usual = widgets.Button(description="literature", tooltip="strengths of the material file")
        self.equal = widgets.Button(description="all equal", tooltip="Schmid's law, no family preferred")
        learned = survey.chapters.strengths
        hint = "strengths that F learned" if learned else f"first: {survey.chapters.command('04')}"
        self.learned = widgets.Button(description="learned by F", tooltip=hint, disabled=not learned)
        buttons = {"literature": self.usual, "equal": self.equal, "learned": self.learned}
        for word, button in buttons.items():
            button.on_click(lambda _, word=word: self._moved(strengths=word))
            button.layout.width = "120px"
        for name in ("colouring", "kind", "angle", "scheme", "threshold"):
            getattr(self, name).observe(self._mover(name), "value")
        self.grain.observe(self._numbered, "value")
        for families in self.strengths.values():
            for slider in families.values():
                slider.observe(lambda _: self._moved(strengths=self._ratios()), "value")

    def _ratio_sliders(self, number: int, look: dict[str, Any]) -> dict[str, Any]:
        """A slider for every family but the first, which is the unit."""
        families = list(self.explorer.situation.strengths(number))[1:]
        ends = {"min": log10(RATIOS[0]), "max": log10(RATIOS[1]), "step": 0.01, "base": 10}
        return {
            family: widgets.FloatLogSlider(1.0, description=family, readout_format=".2f", **ends, **look)
            for family in families
        }

    def _laid_out(self) -> Any:
        parts = [_heading("grains and load"), self.threshold, self.kind, self.angle]
        first = widgets.VBox(parts)
        rows = [_heading("strengths, for the law's answer"), self.scheme]
        for number, (name, sliders) in zip(self._phases(), self.strengths.items(), strict=True):
            unit = next(iter(self.explorer.situation.strengths(number)), "")
            rows.append(widgets.HTML(f"<small>{escape(name)}, in multiples of {escape(unit)}</small>"))
            rows += sliders.values()
        if self.strengths:
            rows.append(widgets.HBox([self.usual, self.equal, self.learned]))
        wrap = widgets.Layout(flex_flow="row wrap", align_items="flex-start")
        controls = widgets.HBox([first, widgets.VBox(rows)] if self.strengths else [first], layout=wrap)
        wide, high = self.explorer.drawn.figure.get_size_inches() * self.explorer.drawn.figure.dpi
        shown = widgets.VBox([self.canvas, self.status], layout=widgets.Layout(width=f"{wide + 62:.0f}px"))
        # beside the map where there is room, else right below it; long cards scroll
        scroll = widgets.Layout(max_height=f"{high + 70:.0f}px", overflow="auto", flex="1 1 440px")
        beside = widgets.HBox([shown, widgets.VBox([self.card], layout=scroll)], layout=wrap)
        return widgets.VBox([widgets.HBox([self.colouring, self.grain], layout=wrap), beside, controls])

    def _phases(self) -> dict[int, str]:
        survey = self.explorer.survey
        return {number: survey.ebsd.phases[number].name for number in survey.materials}

    def _ratios(self) -> dict[str, dict[str, float]]:
        return {
            phase: {family: slider.value for family, slider in families.items()}
            for phase, families in self.strengths.items()
        }

    def _threshold_shown(self) -> float:
        """Of the settings, or as declared; the mean where phases have their own."""
        found, declared = (
            self.explorer.settings.threshold,
            self.explorer.survey.dataset.segmentation["threshold"],
        )
        if found is not None:
            return found
        return sum(declared.values()) / len(declared) if isinstance(declared, dict) else float(declared)

    def _mover(self, name: str) -> Callable[[Any], None]:
        return lambda change: self._moved(**{name: change["new"]})

    def _moved(self, **changes: Any) -> None:
        """A widget was moved by hand; what cannot be done is said, and the widgets go back."""
        if self._is_following:
            return
        with self._said():
            self.explorer.move(**changes)

    def _numbered(self, change: Any) -> None:
        if not self._is_following and change["new"]:
            with self._said():
                self.explorer.card(int(change["new"]))

    def _clicked(self, event: Any) -> None:
        """A click on the map, unless the mouse pans or zooms."""
        is_map = event.inaxes is self.explorer.drawn.ax and not str(self.canvas.toolbar.mode)
        if is_map and event.button == 1:
            with self._said():
                self.explorer.click(event.xdata, event.ydata)

    def _position(self, x: float, y: float) -> str:
        grain = self.explorer.grain_at(x, y)
        return f"x {x:.1f} µm, y {y:.1f} µm" + ("" if grain is None else f", grain {grain}")

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._is_following = self._is_following, True
        try:
            yield
        finally:
            self._is_following = before

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Our own errors are one line under the map."""
        try:
            yield
        except CpmlError as error:
            self.follow()
            self.status.value = _line(str(error), LOUD)


def _line(text: str, style: str) -> str:
    return f'<span style="{style}">{escape(text)}</span>'


def _heading(text: str) -> Any:
    return widgets.HTML(f"<b>{escape(text)}</b>")
