package main

import (
	"reflect"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func newValue(column driver.ColumnType) any { return reflect.New(column.ScanType()).Interface() }
