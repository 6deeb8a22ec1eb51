"""Filters that several dashboards share."""

from deploy.dashboards.model import Dataset, Filter


def whose(dataset: Dataset) -> tuple[Filter, ...]:
    """Returns the filters by vendor and account, with the values of this dataset to choose from."""
    return (
        Filter(name="Vendor", column="vendor", dataset=dataset),
        Filter(name="Account", column="account", dataset=dataset, note="as configured here; empty for none"),
    )
