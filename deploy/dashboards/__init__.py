"""The dashboards as one table of charts, from which the files for Superset and for Grafana are written."""
