// ClickHouse's official Go client runs the cases that come by standard input, and prints what it got, a line a case.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math"
	"math/big"
	"net"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

type job struct {
	Address     string
	Protocol    string // native, http
	Compression string // lz4, none
	Database    string
	Prefix      string // of the tables that the cases make
	Cases       []testCase
}

type testCase struct {
	Name   string
	Kind   string // query, error, types, wide, cancel
	SQL    string
	Params map[string]string
	Type   string
	Values []string
}

func main() {
	var given job
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatal(err)
	}
	connection, err := open(given)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	printer := json.NewEncoder(os.Stdout)
	printer.SetEscapeHTML(false)
	for n, each := range given.Cases {
		got, err := run(connection, given, n, each)
		if err != nil {
			got = "failed: " + err.Error()
		}
		if err := printer.Encode(map[string]any{"name": each.Name, "got": got}); err != nil {
			log.Fatal(err)
		}
	}
}

func open(given job) (driver.Conn, error) {
	options := &clickhouse.Options{
		Addr: []string{given.Address},
		Auth: clickhouse.Auth{Database: given.Database, Username: "default"},
	}
	if given.Protocol == "http" {
		options.Protocol = clickhouse.HTTP
	}
	if given.Compression == "lz4" {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	return clickhouse.Open(options)
}

func run(connection driver.Conn, given job, n int, each testCase) (any, error) {
	ctx := context.Background()
	switch each.Kind {
	case "query":
		return rowsOf(connection, each.SQL, each.Params)
	case "types":
		return types(ctx, connection, fmt.Sprintf("%s%d", given.Prefix, n), each)
	case "error":
		_, err := rowsOf(connection, each.SQL, each.Params)
		var exception *clickhouse.Exception
		if errors.As(err, &exception) {
			return exception.Code, nil
		}
		return nil, fmt.Errorf("no exception but %v", err)
	case "wide":
		return wide(ctx, connection, each.SQL)
	case "cancel":
		return cancelled(ctx, connection, each.SQL)
	}
	return nil, fmt.Errorf("unknown kind %s", each.Kind)
}

func rowsOf(connection driver.Conn, sql string, params map[string]string) ([][]any, error) {
	ctx := context.Background()
	if params != nil {
		ctx = clickhouse.Context(ctx, clickhouse.WithParameters(params))
	}
	values, err := scanned(ctx, connection, sql)
	if err != nil {
		return nil, err
	}
	told := [][]any{}
	for _, row := range values {
		line := []any{}
		for _, value := range row {
			line = append(line, canonical(reflect.ValueOf(value)))
		}
		told = append(told, line)
	}
	return told, nil
}

// scanned reads all rows, each value as the type that the client itself proposes.
func scanned(ctx context.Context, connection driver.Conn, sql string) ([][]any, error) {
	rows, err := connection.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := [][]any{}
	for rows.Next() {
		places := []any{}
		for _, column := range rows.ColumnTypes() {
			places = append(places, reflect.New(column.ScanType()).Interface())
		}
		if err := rows.Scan(places...); err != nil {
			return nil, err
		}
		row := []any{}
		for _, place := range places {
			row = append(row, reflect.ValueOf(place).Elem().Interface())
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// types makes a table of the type, reads it, inserts what it read as blocks into another, and has the two compared.
func types(ctx context.Context, connection driver.Conn, table string, each testCase) (any, error) {
	copied := table + "_copied"
	for _, name := range []string{table, copied} {
		sql := fmt.Sprintf("CREATE TABLE %s (n UInt8, v %s) ENGINE = MergeTree ORDER BY n", name, each.Type)
		if err := connection.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	rows := []string{}
	for n, value := range each.Values {
		rows = append(rows, fmt.Sprintf("(%d, %s)", n, value))
	}
	if err := connection.Exec(ctx, fmt.Sprintf("INSERT INTO %s VALUES %s", table, strings.Join(rows, ", "))); err != nil {
		return nil, err
	}
	sql := fmt.Sprintf("SELECT n, v FROM %s ORDER BY n", table)
	values, err := scanned(ctx, connection, sql)
	if err != nil {
		return nil, err
	}
	batch, err := connection.PrepareBatch(ctx, "INSERT INTO "+copied)
	if err != nil {
		return nil, err
	}
	for _, row := range values {
		if err := batch.Append(row...); err != nil {
			return nil, err
		}
	}
	if err := batch.Send(); err != nil {
		return nil, err
	}
	told, err := rowsOf(connection, sql, nil)
	if err != nil {
		return nil, err
	}
	same, err := rowsOf(connection, fmt.Sprintf(
		"SELECT (SELECT groupArray((n, v)) FROM (SELECT * FROM %s ORDER BY n)) = "+
			"(SELECT groupArray((n, v)) FROM (SELECT * FROM %s ORDER BY n))", table, copied), nil)
	return []any{told, same}, err
}

// wide reads a result of many rows, one by one: their number, and the sum of the first column.
func wide(ctx context.Context, connection driver.Conn, sql string) (any, error) {
	rows, err := connection.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var count, sum, number uint64
	var text string
	for rows.Next() {
		if err := rows.Scan(&number, &text); err != nil {
			return nil, err
		}
		count, sum = count+1, sum+number
	}
	return []string{fmt.Sprint(count), fmt.Sprint(sum)}, rows.Err()
}

// cancelled starts a query without an end, gives it up, and asks another on the same client.
func cancelled(ctx context.Context, connection driver.Conn, sql string) (any, error) {
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := scanned(short, connection, sql); err == nil {
		return nil, fmt.Errorf("it ended")
	}
	return rowsOf(connection, "SELECT 1", nil)
}

func canonical(value reflect.Value) any {
	if !value.IsValid() {
		return nil
	}
	switch it := value.Interface().(type) {
	case time.Time:
		return strings.TrimSuffix(it.UTC().Format("2006-01-02T15:04:05.999999999"), ".")
	case uuid.UUID:
		return it.String()
	case decimal.Decimal:
		return it.String()
	case big.Int:
		return it.String()
	case net.IP:
		return it.String()
	}
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if value.IsNil() {
			return nil
		}
		if number, ok := value.Interface().(*big.Int); ok {
			return number.String()
		}
		return canonical(value.Elem())
	case reflect.Slice, reflect.Array:
		list := []any{}
		for n := 0; n < value.Len(); n++ {
			list = append(list, canonical(value.Index(n)))
		}
		return list
	case reflect.Map:
		pairs := [][]any{}
		for _, key := range value.MapKeys() {
			pairs = append(pairs, []any{canonical(key), canonical(value.MapIndex(key))})
		}
		sort.Slice(pairs, func(a, b int) bool { return fmt.Sprint(pairs[a][0]) < fmt.Sprint(pairs[b][0]) })
		return pairs
	case reflect.Float32, reflect.Float64:
		return fmt.Sprintf("%016x", math.Float64bits(value.Float()))
	}
	return fmt.Sprint(value.Interface())
}
