"""Superset with the dashboards of `deploy/superset`, beside the running stack and in an environment of its own."""
