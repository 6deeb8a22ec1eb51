"""The files that Superset imports: a database, datasets, charts and dashboards. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from deploy.dashboards.model import Dashboard, Dataset
from deploy.dashboards.superset_charts import chart_file
from deploy.dashboards.superset_ids import VERSION, id_of
from deploy.dashboards.superset_pages import page

DATABASE: Final = "Callweave"
SCHEMA: Final = "calls"
ACCOUNT: Final = "callweave_analyst"


def files(dashboards: Iterable[Dashboard]) -> dict[str, dict[str, Any]]:
    """Returns the content of each file of the folder for import, by its path."""
    all_of_them = tuple(dashboards)
    charts = {chart.slug: chart for board in all_of_them for chart in board.charts}
    datasets = {chart.dataset.name: chart.dataset for chart in charts.values()}
    return {
        # Without a type: `import-dashboards` and `import-directory` expect different ones.
        "metadata.yaml": {"version": VERSION},
        f"databases/{DATABASE}.yaml": _database(),
        **{f"datasets/{DATABASE}/{name}.yaml": _dataset(one) for name, one in sorted(datasets.items())},
        **{f"charts/{slug}.yaml": chart_file(one) for slug, one in sorted(charts.items())},
        **{f"dashboards/{one.slug}.yaml": page(one) for one in all_of_them},
    }


def _database() -> dict[str, Any]:
    return {
        "database_name": DATABASE,
        "sqlalchemy_uri": f"clickhousedb://{ACCOUNT}@127.0.0.1:8123/{SCHEMA}",
        "cache_timeout": None,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        # Superset writes instants as literals without a zone, and all of ours are UTC.
        "extra": {"engine_params": {"connect_args": {"session_timezone": "UTC"}}, "allows_virtual_table_explore": True},
        "uuid": id_of("database", DATABASE),
        "version": VERSION,
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {
        "table_name": dataset.name,
        "main_dttm_col": dataset.time or None,
        "description": dataset.comment,
        "default_endpoint": None,
        "offset": 0,
        "cache_timeout": None,
        "schema": SCHEMA,
        "sql": dataset.sql or None,
        "params": None,
        "template_params": None,
        "filter_select_enabled": True,
        "fetch_values_predicate": None,
        "extra": None,
        "uuid": id_of("dataset", dataset.name),
        "metrics": [
            {
                "metric_name": "count",
                "verbose_name": "Rows",
                "metric_type": "count",
                "expression": "count()",
                "description": None,
                "d3format": ",d",
                "extra": None,
                "warning_text": None,
            }
        ],
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.label if column.label != column.name else None,
                "is_dttm": column.is_time,
                "is_active": True,
                "type": column.type,
                "groupby": True,
                "filterable": True,
                "expression": None,
                "description": column.comment or None,
                "python_date_format": None,
                "extra": None,
            }
            for column in dataset.columns
        ],
        "version": VERSION,
        "database_uuid": id_of("database", DATABASE),
    }
