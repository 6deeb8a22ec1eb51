// Runs the queries of Grafana's panels as Grafana's plugin does: through clickhouse-go, over the native protocol.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

type panel struct {
	Name       string `json:"name"`
	SQL        string `json:"sql"`
	MayBeEmpty bool   `json:"may_be_empty"`
}

func main() {
	var panels []panel
	text, err := os.ReadFile(os.Getenv("PANELS"))
	if err == nil {
		err = json.Unmarshal(text, &panels)
	}
	if err != nil {
		fmt.Printf("not ok reads the panels: %s\n", err)
		return
	}
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{os.Getenv("CLICKHOUSE_HOST") + ":" + os.Getenv("CLICKHOUSE_TCP_PORT")},
		Protocol:    clickhouse.Native,
		Auth:        clickhouse.Auth{Database: "calls", Username: os.Getenv("CLICKHOUSE_USER"), Password: os.Getenv("CLICKHOUSE_PASSWORD")},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		DialTimeout: 20 * time.Second,
	})
	if err != nil {
		fmt.Printf("not ok opens: %s\n", err)
		return
	}
	for _, one := range panels {
		rows, err := read(conn, one.SQL)
		switch {
		case err != nil:
			fmt.Printf("not ok %s: %s\n", one.Name, strings.Join(strings.Fields(err.Error()), " "))
		case rows == 0 && !one.MayBeEmpty:
			fmt.Printf("not ok %s: no rows\n", one.Name)
		default:
			fmt.Printf("ok %s\n", one.Name)
		}
	}
}

// Each value is scanned into the type that the driver names for its column, as the plugin does.
func read(conn driver.Conn, sql string) (int, error) {
	rows, err := conn.Query(context.Background(), sql)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		values := make([]any, 0, len(rows.ColumnTypes()))
		for _, column := range rows.ColumnTypes() {
			values = append(values, newValue(column))
		}
		if err := rows.Scan(values...); err != nil {
			return count, err
		}
		count++
	}
	return count, rows.Err()
}
