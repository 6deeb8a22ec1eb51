"""All dashboards, in the order in which people are shown them."""

from typing import Final

from deploy.dashboards.boards.cost import COST
from deploy.dashboards.boards.one_call import ONE_CALL
from deploy.dashboards.boards.operations import OPERATIONS
from deploy.dashboards.boards.reconciliation import RECONCILIATION
from deploy.dashboards.boards.traffic import TRAFFIC
from deploy.dashboards.boards.vendors import VENDOR_QUALITY
from deploy.dashboards.model import Dashboard

DASHBOARDS: Final[tuple[Dashboard, ...]] = (OPERATIONS, TRAFFIC, COST, RECONCILIATION, VENDOR_QUALITY, ONE_CALL)
