"""The simulated vendors: each file of this folder is one, and nothing else names it.

A vendor of `schemas/vendors` that has no file here is not simulated.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from deploy.simulator.calls.truth import TrueCall
from deploy.simulator.expectation import Expectation
from deploy.simulator.vendor_contract import SimulatedVendor


def discover() -> Mapping[str, SimulatedVendor]:
    """Returns all vendors of this folder by name, in their declared order.

    Raises `TypeError` with a sentence that says what a file lacks.
    """
    found: list[SimulatedVendor] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        vendor = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SIMULATED", None)
        if not isinstance(vendor, SimulatedVendor):
            raise TypeError(f"deploy/simulator/vendors/{module.name}.py must end with SIMULATED = SimulatedVendor(...)")
        if vendor.name != module.name:
            raise TypeError(f"deploy/simulator/vendors/{module.name}.py declares the name {vendor.name!r}")
        found.append(vendor)
    return MappingProxyType({vendor.name: vendor for vendor in sorted(found, key=lambda vendor: vendor.order)})


SIMULATED_VENDORS: Final = discover()


def expected_record(call: TrueCall) -> Expectation:
    """Returns the expectation of a call's record, whichever vendor writes it."""
    return SIMULATED_VENDORS[call.vendor].expected(call)
