"""Superset's pages in the browser of the tests: logging in, charts that are drawn, and filters that are typed into."""

import asyncio
from typing import Any, Final

from tests.support.bi.browser import Browser

CHARTS: Final = """return [...document.querySelectorAll('[data-test="chart-grid-component"]')].map((one) => ({
  name: one.dataset.testChartName,
  text: one.innerText,
  waits: !!one.querySelector('.loading, [data-test="loading-indicator"], .ant-spin-spinning'),
  failed: !!one.querySelector('[role="alert"], .ant-alert-error, [data-test="error-alert"]'),
  drawn: one.querySelectorAll('canvas, svg.datamap, tbody tr, .header-line').length,
  rows: [...one.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim())),
  cut: [...one.querySelectorAll('table')].some((table) => {
    let place = table.parentElement;
    while (place !== one && place.clientWidth >= place.scrollWidth) place = place.parentElement;
    return place !== one;
  }),
}))"""
_NOTHING: Final = ("No results were returned", "No data", "Add required control values")
_LOG_IN: Final = """const set = (place, value) => {
  const field = document.querySelector(place);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  field.dispatchEvent(new Event('input', {bubbles: true}));
};
set('input#username', arguments[0]);
set('input#password', arguments[1]);
document.querySelector('button[type=submit]').click();"""
_OPEN: Final = """const named = [...document.querySelectorAll('[data-test="filter-control-name"]')]
  .find((one) => one.innerText.trim() === arguments[0]);
let place = named;
while (place && !place.querySelector('input')) place = place.parentElement;
const field = place && place.querySelector('input');
if (!field) return false;
const press = new MouseEvent('mousedown', {bubbles: true});
(place.querySelector('.ant-select-selector') || field).dispatchEvent(press);
field.focus();
return document.activeElement === field"""
_OFFERED: Final = """return [...document.querySelectorAll('.ant-select-dropdown .ant-select-item-option')]
  .some((one) => one.innerText.trim() === arguments[0])"""
_APPLY: Final = """const button = document.querySelector('[data-test="filter-bar__apply-button"]');
if (!button || button.disabled) return false;
button.click();
return true"""


async def log_in(window: Browser, url: str, user: str, password: str, *, limit_s: float) -> None:
    """Logs in as a person does, and waits for the first page."""
    await window.open(f"{url}/login/")
    await window.until("return !!document.querySelector('input#username')", limit_s)
    await window.run(_LOG_IN, user, password)
    await window.until("return location.pathname.includes('/welcome')", limit_s)


async def drawn(window: Browser, wanted: int, *, limit_s: float) -> list[dict[str, Any]]:
    """Returns all charts when each of `wanted` or more has an end; fails after the limit with what they show.

    A chart is waited for until it has failed, is drawn, or says that there is nothing: one that has not begun to ask
    shows none of these.
    """
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        charts: list[dict[str, Any]] = await window.run(CHARTS)
        if len(charts) >= wanted and all(map(_is_at_its_end, charts)):
            return charts
        assert asyncio.get_running_loop().time() < deadline, charts
        await asyncio.sleep(0.5)


def _is_at_its_end(chart: dict[str, Any]) -> bool:
    return not chart["waits"] and bool(chart["failed"] or chart["drawn"] or says_nothing(chart))


def says_nothing(chart: dict[str, Any]) -> bool:
    """True when a chart says that there is nothing to draw."""
    return any(said in chart["text"] for said in _NOTHING)


async def chosen(window: Browser, name: str, value: str, *, limit_s: float) -> None:
    """Types a value into a filter of the page, takes it, and applies it."""
    await window.until(_OPEN, limit_s, name)
    await window.type(value)
    await window.until(_OFFERED, limit_s, value)
    await window.press("Enter")
    await window.press("Escape")
    await window.until(_APPLY, limit_s)
    # The charts begin to wait for the new rows.
    await asyncio.sleep(1)
