"""Finds the vendors: every file of this folder that does not start with `_` is one; nothing else names it."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.vendor_kit.contract import Vendor


def discover() -> Mapping[str, Vendor]:
    """Returns all vendors of this folder by name, sorted; raises TypeError with what a file lacks."""
    found: dict[str, Vendor] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if module.name.startswith("_"):
            continue
        vendor = getattr(importlib.import_module(f"{__name__}.{module.name}"), "VENDOR", None)
        if not isinstance(vendor, Vendor):
            raise TypeError(f"schemas/vendors/{module.name}.py must end with VENDOR = Vendor(...)")
        if vendor.name != module.name:
            raise TypeError(
                f"schemas/vendors/{module.name}.py declares the name {vendor.name!r}: the file's name is the vendor's"
            )
        found[vendor.name] = vendor
    return MappingProxyType(found)


VENDORS: Final = discover()
