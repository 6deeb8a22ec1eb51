// Checks of clickhouse-go over HTTP and over the native protocol, with each compression.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const longRows = 1_000_000

type way struct {
	name        string
	protocol    clickhouse.Protocol
	compression clickhouse.CompressionMethod
}

var ways = []way{
	{"native, plain", clickhouse.Native, clickhouse.CompressionNone},
	{"native, lz4", clickhouse.Native, clickhouse.CompressionLZ4},
	{"native, zstd", clickhouse.Native, clickhouse.CompressionZSTD},
	{"http, plain", clickhouse.HTTP, clickhouse.CompressionNone},
	{"http, lz4", clickhouse.HTTP, clickhouse.CompressionLZ4},
	{"http, zstd", clickhouse.HTTP, clickhouse.CompressionZSTD},
	{"http, gzip", clickhouse.HTTP, clickhouse.CompressionGZIP},
}

type check struct {
	name string
	run  func(context.Context, driver.Conn, way) error
}

var checks = []check{
	{"ping and server version", pingAndVersion},
	{"batch inserts are read back", batches},
	{"types are read as Go values", types},
	{"parameters are bound", parameters},
	{"a million rows stream", stream},
	{"an error has its code", errorCode},
	{"an error in mid-answer is told", midAnswer},
	{"a cancelled context ends the query on the server", cancelled},
	{"progress is told", progress},
	{"an unknown column of a batch is refused", unknownColumn},
	{"an empty answer is no error", emptyAnswer},
}

func open(w way, user, password string) (driver.Conn, error) {
	return openAt("CLICKHOUSE_", w, user, password)
}

func openAt(prefix string, w way, user, password string) (driver.Conn, error) {
	port := os.Getenv(prefix + "PORT")
	if w.protocol == clickhouse.Native {
		port = os.Getenv(prefix + "TCP_PORT")
	}
	return clickhouse.Open(&clickhouse.Options{
		Addr:        []string{os.Getenv("CLICKHOUSE_HOST") + ":" + port},
		Protocol:    w.protocol,
		Auth:        clickhouse.Auth{Database: "default", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: w.compression},
		DialTimeout: 20 * time.Second,
	})
}

func main() {
	fmt.Printf("version %s\n", driverVersion())
	for _, w := range ways {
		conn, err := open(w, os.Getenv("CLICKHOUSE_USER"), os.Getenv("CLICKHOUSE_PASSWORD"))
		if err != nil {
			fmt.Printf("not ok %s: opens: %s\n", w.name, oneLine(err))
			continue
		}
		for _, c := range checks {
			report(w.name+": "+c.name, c.run(context.Background(), conn, w))
		}
		report(w.name+": a wrong password is refused", wrongPassword(w))
		report(w.name+": the reader reads a view and not its table", reader(w))
		_ = conn.Close()
	}
}

func driverVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.HasSuffix(module.Path, "clickhouse-go/v2") {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "?"
}

func report(name string, err error) {
	if err == nil {
		fmt.Printf("ok %s\n", name)
		return
	}
	fmt.Printf("not ok %s: %s\n", name, oneLine(err))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func expect(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, want)
}

func all(ctx context.Context, conn driver.Conn, statements ...string) error {
	for _, statement := range statements {
		if err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func pingAndVersion(ctx context.Context, conn driver.Conn, _ way) error {
	if err := conn.Ping(ctx); err != nil {
		return err
	}
	version, err := conn.ServerVersion()
	if err != nil {
		return err
	}
	if version.Version.Major < 26 {
		return fmt.Errorf("version %s", version)
	}
	return nil
}

func batches(ctx context.Context, conn driver.Conn, _ way) error {
	err := all(ctx, conn, "DROP TABLE IF EXISTS go_batches",
		"CREATE TABLE go_batches (id UInt64, name String, tags Array(String), at DateTime64(3, 'UTC'), note Nullable(String), kind LowCardinality(String), cost Decimal(18, 4)) ENGINE = MergeTree ORDER BY id")
	if err != nil {
		return err
	}
	at := time.Date(2026, 3, 1, 8, 0, 0, 123_000_000, time.UTC)
	const sent, each = 3, 20_000
	for batchNumber := range sent {
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_batches (id, name, tags, at, note, kind, cost)")
		if err != nil {
			return err
		}
		for row := range each {
			id := uint64(batchNumber*each + row)
			var note *string
			if id%2 == 0 {
				text := fmt.Sprint("note ", id)
				note = &text
			}
			if err := batch.Append(id, fmt.Sprint("应答 ", id), []string{"a", "b"}, at, note, "kind", "0.1500"); err != nil {
				return err
			}
		}
		if err := batch.Send(); err != nil {
			return err
		}
	}
	var count, sum uint64
	var notes uint64
	if err := conn.QueryRow(ctx, "SELECT count(), sum(id), count(note) FROM go_batches").Scan(&count, &sum, &notes); err != nil {
		return err
	}
	total := uint64(sent * each)
	if err := expect("counts", []uint64{count, sum, notes}, []uint64{total, total * (total - 1) / 2, total / 2}); err != nil {
		return err
	}
	var name string
	var gotAt time.Time
	if err := conn.QueryRow(ctx, "SELECT name, at FROM go_batches WHERE id = 7").Scan(&name, &gotAt); err != nil {
		return err
	}
	if !gotAt.Equal(at) {
		return fmt.Errorf("time %v", gotAt)
	}
	return expect("name", name, "应答 7")
}

func types(ctx context.Context, conn driver.Conn, _ way) error {
	var (
		number   int32
		float    float64
		flag     bool
		day      time.Time
		id       string
		list     []int64
		pairs    map[string]uint8
		nothing  *string
		letters  string
		instants []time.Time
		address  string
	)
	row := conn.QueryRow(ctx, `SELECT toInt32(-5), 2.5::Float64, true, toDate('2026-03-01'),
		toString(toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')), [1, -2]::Array(Int64), map('a', 1)::Map(String, UInt8),
		CAST(NULL, 'Nullable(String)'), toFixedString('ab', 2), [toDateTime('2026-03-01 08:00:00', 'Asia/Shanghai')],
		toString(toIPv4('192.0.2.1'))`)
	if err := row.Scan(&number, &float, &flag, &day, &id, &list, &pairs, &nothing, &letters, &instants, &address); err != nil {
		return err
	}
	if err := expect("values",
		[]any{number, float, flag, day.Format("2006-01-02"), id, list, pairs, nothing, letters, address},
		[]any{int32(-5), 2.5, true, "2026-03-01", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", []int64{1, -2}, map[string]uint8{"a": 1}, (*string)(nil), "ab", "192.0.2.1"}); err != nil {
		return err
	}
	return expect("instant", instants[0].UTC().Format(time.RFC3339), "2026-03-01T00:00:00Z")
}

func parameters(ctx context.Context, conn driver.Conn, _ way) error {
	var number uint64
	var text string
	named := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"n": "42", "s": "it's \\ 应答"}))
	if err := conn.QueryRow(named, "SELECT {n:UInt64}, {s:String}").Scan(&number, &text); err != nil {
		return err
	}
	return expect("parameters", []any{number, text}, []any{uint64(42), "it's \\ 应答"})
}

func stream(ctx context.Context, conn driver.Conn, _ way) error {
	rows, err := conn.Query(ctx, fmt.Sprintf("SELECT number, toString(number) FROM numbers(%d)", longRows))
	if err != nil {
		return err
	}
	defer rows.Close()
	var count, sum, number uint64
	var text string
	for rows.Next() {
		if err := rows.Scan(&number, &text); err != nil {
			return err
		}
		count++
		sum += number
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return expect("sum", []uint64{count, sum}, []uint64{longRows, longRows * (longRows - 1) / 2})
}

func errorCode(ctx context.Context, conn driver.Conn, _ way) error {
	for statement, code := range map[string]int32{"SELECT * FROM no_such_table": 60, "SELECT no_such_column": 47, "SELEC 1": 62} {
		_, err := conn.Query(ctx, statement)
		if err == nil {
			return fmt.Errorf("%s was answered", statement)
		}
		if got := codeOf(err); got != code {
			return fmt.Errorf("%s: code %d: %w", statement, got, err)
		}
	}
	return nil
}

func codeOf(err error) int32 {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return exception.Code
	}
	return 0
}

func midAnswer(ctx context.Context, conn driver.Conn, _ way) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 10_000}))
	rows, err := conn.Query(ctx, "SELECT number, throwIf(number = 900000) FROM numbers(1000000)")
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	if err == nil {
		return errors.New("the answer ended without an error")
	}
	if !strings.Contains(err.Error(), "395") && codeOf(err) != 395 && !strings.Contains(err.Error(), "throwIf") {
		return fmt.Errorf("another error: %w", err)
	}
	return nil
}

func cancelled(ctx context.Context, conn driver.Conn, w way) error {
	id := fmt.Sprintf("go-cancel-%d", time.Now().UnixNano())
	inner, cancel := context.WithCancel(clickhouse.Context(ctx, clickhouse.WithQueryID(id)))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		rows, err := conn.Query(inner, "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000) SETTINGS max_block_size = 10, function_sleep_max_microseconds_per_block = 0")
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			rows.Close()
		}
		ended <- err
	}()
	running := func() (uint64, error) {
		var count uint64
		// The driver asks for the server's version under the same id when it opens a connection.
		err := conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE query_id = '"+id+"' AND query LIKE '%sleepEachRow%'").Scan(&count)
		return count, err
	}
	until := func(want uint64) error {
		for range 400 {
			count, err := running()
			if err != nil {
				return err
			}
			if count == want {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
		return fmt.Errorf("never %d queries of this id", want)
	}
	if err := until(1); err != nil {
		return err
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("ended with %v", err)
	}
	if w.protocol == clickhouse.HTTP {
		// A POST whose client is gone goes on, in every ClickHouse; it is ended by its id.
		if err := conn.Exec(ctx, "KILL QUERY WHERE query_id = '"+id+"' SYNC"); err != nil {
			return err
		}
	}
	return until(0)
}

func progress(ctx context.Context, conn driver.Conn, w way) error {
	var told atomic.Uint64
	inner := clickhouse.Context(ctx, clickhouse.WithProgress(func(p *clickhouse.Progress) { told.Add(p.Rows) }))
	var sum uint64
	if err := conn.QueryRow(inner, "SELECT sum(number) FROM numbers(1000000)").Scan(&sum); err != nil {
		return err
	}
	if w.protocol == clickhouse.Native {
		return expect("rows told", told.Load(), uint64(1_000_000))
	}
	return expect("sum", sum, uint64(499_999_500_000)) // the driver tells no progress over HTTP
}

func unknownColumn(ctx context.Context, conn driver.Conn, _ way) error {
	if err := all(ctx, conn, "DROP TABLE IF EXISTS go_columns", "CREATE TABLE go_columns (id UInt64) ENGINE = MergeTree ORDER BY id"); err != nil {
		return err
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_columns (id, nothing)")
	if err == nil {
		_ = batch.Abort()
		return errors.New("the batch was begun")
	}
	return nil
}

func emptyAnswer(ctx context.Context, conn driver.Conn, w way) error {
	rows, err := conn.Query(ctx, "SELECT number AS n, toString(number) AS s FROM numbers(0)")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		return errors.New("a row")
	}
	if err := rows.Err(); err != nil || w.protocol == clickhouse.HTTP {
		return err // over HTTP, ClickHouse's Native format of no rows is no bytes: there are no names to read
	}
	return expect("columns", rows.Columns(), []string{"n", "s"})
}

func wrongPassword(w way) error {
	conn, err := open(w, os.Getenv("CLICKHOUSE_USER"), "wrong")
	if err == nil {
		defer conn.Close()
		err = conn.Ping(context.Background())
	}
	if err == nil {
		return errors.New("it was let in")
	}
	if !strings.Contains(err.Error(), "516") && codeOf(err) != 516 && !strings.Contains(err.Error(), "403") && !strings.Contains(err.Error(), "401") {
		return fmt.Errorf("another error: %w", err)
	}
	return nil
}

func reader(w way) error {
	ctx := context.Background()
	conn, err := openAt("CLICKHOUSE_BI_", w, os.Getenv("CLICKHOUSE_BI_USER"), os.Getenv("CLICKHOUSE_BI_PASSWORD"))
	if err != nil {
		return err
	}
	defer conn.Close()
	var id uint64
	if err := conn.QueryRow(ctx, "SELECT id FROM bi.v_call").Scan(&id); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT id FROM bi.call").Scan(&id); codeOf(err) != 497 {
		return fmt.Errorf("the table: %v", err)
	}
	return nil
}
