import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** Checks of the JDBC driver with its default properties, which ask for LZ4. */
public final class Checks {
    private static final int ROWS = 1_000_000;

    @FunctionalInterface
    private interface Check {
        void run(Connection connection) throws Exception;
    }

    @FunctionalInterface
    private interface Reading<T> {
        T of(ResultSet row) throws SQLException;
    }

    private static final Map<String, Check> CHECKS = new LinkedHashMap<>();

    static {
        CHECKS.put("the connection is valid and names the server", Checks::identity);
        CHECKS.put("metadata: databases, tables, columns, keys, types", Checks::metadata);
        CHECKS.put("numbers, texts and booleans", Checks::scalars);
        CHECKS.put("dates and instants", Checks::times);
        CHECKS.put("arrays, maps, tuples and nulls", Checks::composites);
        CHECKS.put("the columns of an answer are described", Checks::description);
        CHECKS.put("prepared statements bind values", Checks::prepared);
        CHECKS.put("batch inserts are read back", Checks::batches);
        CHECKS.put("INSERT SELECT and row counts", Checks::insertSelect);
        CHECKS.put("a million rows are read", Checks::manyRows);
        CHECKS.put("setMaxRows and setFetchSize", Checks::limits);
        CHECKS.put("errors have the server's code", Checks::errors);
        CHECKS.put("a failing batch is told", Checks::failingBatch);
        CHECKS.put("an error in mid-answer is told", Checks::midAnswer);
        CHECKS.put("cancel ends the query on the server", Checks::cancel);
        CHECKS.put("a query's time limit is kept", Checks::timeLimit);
        CHECKS.put("tables are made, changed and dropped", Checks::definitions);
        CHECKS.put("another schema is used", Checks::schema);
        CHECKS.put("a wrong password is refused", Checks::wrongPassword);
        CHECKS.put("the reader sees and reads views, not tables", Checks::reader);
    }

    private Checks() {}

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = open("CLICKHOUSE_", env("CLICKHOUSE_PASSWORD"))) {
            System.out.println("version " + connection.getMetaData().getDriverVersion().split(" ")[0]);
            CHECKS.forEach((name, check) -> {
                try {
                    check.run(connection);
                    System.out.println("ok " + name);
                } catch (Exception | AssertionError problem) {
                    System.out.println("not ok " + name + ": " + String.join(" ", problem.toString().split("\\s+")));
                }
            });
        }
        System.exit(0);
    }

    private static String env(String name) {
        return System.getenv(name);
    }

    private static Connection open(String prefix, String password) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", env(prefix + "USER"));
        properties.setProperty("password", password);
        return DriverManager.getConnection("jdbc:clickhouse://" + env("CLICKHOUSE_HOST") + ":" + env(prefix + "PORT") + "/default", properties);
    }

    private static void same(Object got, Object wanted) {
        if (!Objects.deepEquals(got, wanted)) {
            throw new AssertionError("got " + got + ", want " + wanted);
        }
    }

    private static void execute(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) {
                statement.execute(sql);
            }
        }
    }

    private static <T> List<T> rows(ResultSet answer, Reading<T> reading) throws SQLException {
        List<T> read = new ArrayList<>();
        try (answer) {
            while (answer.next()) {
                read.add(reading.of(answer));
            }
        }
        return read;
    }

    private static <T> T one(Connection connection, String sql, Reading<T> reading) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql), reading).get(0);
        }
    }

    private static void refused(Connection connection, String sql, int code) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        } catch (SQLException problem) {
            if (problem.getErrorCode() != code && !problem.getMessage().contains("Code: " + code)) {
                throw problem;
            }
            return;
        }
        throw new AssertionError(sql + " was answered");
    }

    private static void identity(Connection connection) throws SQLException {
        same(connection.isValid(10), true);
        same(connection.getMetaData().getDatabaseProductName(), "ClickHouse");
        same(connection.getMetaData().getDatabaseMajorVersion() >= 26, true);
    }

    private static void metadata(Connection connection) throws SQLException {
        execute(connection, "DROP TABLE IF EXISTS jdbc_meta", "DROP VIEW IF EXISTS v_jdbc_meta",
                "CREATE TABLE jdbc_meta (id UInt64 COMMENT 'the key', name Nullable(String), at DateTime64(3), cost Decimal(18, 4)) ENGINE = MergeTree ORDER BY id",
                "CREATE VIEW v_jdbc_meta AS SELECT id FROM jdbc_meta");
        DatabaseMetaData about = connection.getMetaData();
        same(rows(about.getSchemas(), row -> row.getString("TABLE_SCHEM")).contains("default"), true);
        same(rows(about.getTables(null, "default", "%jdbc_meta", null), row -> row.getString("TABLE_NAME") + " " + row.getString("TABLE_TYPE")),
                List.of("jdbc_meta TABLE", "v_jdbc_meta VIEW"));
        same(rows(about.getColumns(null, "default", "jdbc_meta", "%"),
                        row -> row.getString("COLUMN_NAME") + " " + row.getInt("DATA_TYPE") + " " + row.getInt("NULLABLE") + " " + row.getInt("ORDINAL_POSITION")),
                List.of("id " + Types.NUMERIC + " 0 1", "name " + Types.VARCHAR + " 1 2", "at " + Types.TIMESTAMP + " 0 3", "cost " + Types.DECIMAL + " 0 4"));
        same(rows(about.getPrimaryKeys(null, "default", "jdbc_meta"), row -> row.getString("COLUMN_NAME")), List.of("id"));
        same(rows(about.getTypeInfo(), row -> row.getString("TYPE_NAME")).contains("DateTime64"), true);
        same(rows(about.getTableTypes(), row -> row.getString(1)).contains("VIEW"), true);
        same(rows(about.getFunctions(null, null, "toDate"), row -> row.getString("FUNCTION_NAME")), List.of("toDate"));
    }

    private static void scalars(Connection connection) throws SQLException {
        String sql = "SELECT toInt8(-5), 18446744073709551615::UInt64, 2.5::Float64, true, '应答', toDecimal64('0.1500', 4), toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toFixedString('ab', 2), 'x'::Enum8('x' = 1)";
        List<Object> got = one(connection, sql, row -> {
            List<Object> read = new ArrayList<>(List.of(row.getByte(1), row.getBigDecimal(2).toPlainString(), row.getDouble(3), row.getBoolean(4)));
            read.addAll(List.of(row.getString(5), row.getBigDecimal(6), row.getObject(7).toString(), row.getString(8), row.getString(9)));
            return read;
        });
        same(got, List.of((byte) -5, "18446744073709551615", 2.5, true, "应答", new BigDecimal("0.1500"), "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "ab", "x"));
    }

    private static void times(Connection connection) throws SQLException {
        String sql = "SELECT toDate('2026-03-01'), toDateTime('2026-03-01 08:00:00', 'Asia/Shanghai'), toDateTime64('2026-03-01 08:00:00.123456', 6, 'UTC')";
        same(one(connection, sql, row -> row.getObject(1, LocalDate.class)), LocalDate.of(2026, 3, 1));
        same(one(connection, sql, row -> row.getObject(2, ZonedDateTime.class).toInstant()), Instant.parse("2026-03-01T00:00:00Z"));
        same(one(connection, sql, row -> row.getObject(3, LocalDateTime.class)), LocalDateTime.parse("2026-03-01T08:00:00.123456"));
        same(one(connection, "SELECT timezone()", row -> row.getString(1)), "UTC");
    }

    private static void composites(Connection connection) throws SQLException {
        String sql = "SELECT [1, 2]::Array(Int32) AS a, map('k', 1)::Map(String, Int32) AS m, (1, 'x')::Tuple(Int32, String) AS t, CAST(NULL, 'Nullable(Int32)') AS n, []::Array(String) AS e, 'lc'::LowCardinality(Nullable(String)) AS l";
        same(one(connection, sql, row -> row.getArray("a").getArray()), new Integer[] {1, 2});
        same(one(connection, sql, row -> row.getObject("m")), Map.of("k", 1));
        same(one(connection, sql, row -> row.getInt("n") + " " + row.wasNull()), "0 true");
        same(one(connection, sql, row -> row.getObject("t") instanceof Object[] parts ? List.of(parts) : row.getObject("t").toString()), List.of(1, "x"));
        same(one(connection, sql, row -> row.getString("l")), "lc");
    }

    private static void description(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet answer = statement.executeQuery("SELECT 1::UInt32 AS one, 'x'::LowCardinality(String) AS two, now64(3) AS three WHERE 0")) {
            ResultSetMetaData about = answer.getMetaData();
            same(List.of(about.getColumnCount(), about.getColumnLabel(1), about.getColumnTypeName(2), about.getColumnType(3)),
                    List.of(3, "one", "LowCardinality(String)", Types.TIMESTAMP));
            same(answer.next(), false);
        }
    }

    private static void prepared(Connection connection) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ? + 1, ?, ?, toDate(?), ?")) {
            statement.setLong(1, 41);
            statement.setString(2, "it's \\ ? 应答");
            statement.setNull(3, Types.VARCHAR);
            statement.setDate(4, Date.valueOf("2026-03-01"));
            statement.setBigDecimal(5, new BigDecimal("0.15"));
            same(rows(statement.executeQuery(), row -> row.getLong(1) + "|" + row.getString(2) + "|" + row.getString(3) + "|" + row.getString(4)),
                    List.of("42|it's \\ ? 应答|null|2026-03-01"));
        }
    }

    private static void batches(Connection connection) throws SQLException {
        execute(connection, "DROP TABLE IF EXISTS jdbc_batch",
                "CREATE TABLE jdbc_batch (id UInt64, name String, at DateTime64(3, 'UTC'), cost Decimal(18, 4), note Nullable(String), tags Array(String)) ENGINE = MergeTree ORDER BY id");
        Timestamp at = Timestamp.from(Instant.parse("2026-03-01T08:00:00.123Z"));
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_batch (id, name, at, cost, note, tags) VALUES (?, ?, ?, ?, ?, ?)")) {
            for (int batch = 0; batch < 3; batch++) {
                for (int row = 0; row < 5000; row++) {
                    long id = batch * 5000L + row;
                    statement.setLong(1, id);
                    statement.setString(2, "应答 '" + id);
                    statement.setTimestamp(3, at);
                    statement.setBigDecimal(4, new BigDecimal("0.15"));
                    if (id % 2 == 0) {
                        statement.setNull(5, Types.VARCHAR);
                    } else {
                        statement.setString(5, "note");
                    }
                    statement.setArray(6, connection.createArrayOf("String", new String[] {"a", "b"}));
                    statement.addBatch();
                }
                same(statement.executeBatch().length, 5000);
            }
        }
        same(one(connection, "SELECT count(), sum(id), uniqExact(name), count(note), sum(length(tags)) FROM jdbc_batch",
                        row -> List.of(row.getLong(1), row.getLong(2), row.getLong(3), row.getLong(4), row.getLong(5))),
                List.of(15000L, 112492500L, 15000L, 7500L, 30000L));
        same(one(connection, "SELECT name, at, cost FROM jdbc_batch WHERE id = 7", row -> row.getString(1) + " " + row.getTimestamp(2).toInstant() + " " + row.getBigDecimal(3)),
                "应答 '7 2026-03-01T08:00:00.123Z 0.1500");
    }

    private static void insertSelect(Connection connection) throws SQLException {
        execute(connection, "DROP TABLE IF EXISTS jdbc_copy", "CREATE TABLE jdbc_copy (id UInt64) ENGINE = MergeTree ORDER BY id");
        try (Statement statement = connection.createStatement()) {
            same(statement.executeUpdate("INSERT INTO jdbc_copy VALUES (1), (2), (3)"), 3);
            statement.executeUpdate("INSERT INTO jdbc_copy SELECT number FROM numbers(1000)");
        }
        same(one(connection, "SELECT count() FROM jdbc_copy", row -> row.getLong(1)), 1003L);
    }

    private static void manyRows(Connection connection) throws SQLException {
        long count = 0;
        long sum = 0;
        long letters = 0;
        try (Statement statement = connection.createStatement();
                ResultSet answer = statement.executeQuery("SELECT number, toString(number) FROM numbers(" + ROWS + ")")) {
            while (answer.next()) {
                count++;
                sum += answer.getLong(1);
                letters += answer.getString(2).length();
            }
        }
        same(List.of(count, sum, letters), List.of((long) ROWS, (long) ROWS * (ROWS - 1) / 2, 5888890L));
    }

    private static void limits(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.setMaxRows(10);
            statement.setFetchSize(5);
            same(rows(statement.executeQuery("SELECT number FROM numbers(10)"), row -> row.getLong(1)).size(), 10);
        }
    }

    private static void errors(Connection connection) throws SQLException {
        refused(connection, "SELECT * FROM no_such_table", 60);
        refused(connection, "SELECT no_such_column", 47);
        refused(connection, "SELEC 1", 62);
        refused(connection, "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", 497);
        same(one(connection, "SELECT 1", row -> row.getInt(1)), 1);
    }

    private static void failingBatch(Connection connection) throws SQLException {
        execute(connection, "DROP TABLE IF EXISTS jdbc_failing", "CREATE TABLE jdbc_failing (id UInt8, CONSTRAINT small CHECK id < 10) ENGINE = MergeTree ORDER BY id");
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_failing (id) VALUES (?)")) {
            for (int id : new int[] {1, 50}) {
                statement.setInt(1, id);
                statement.addBatch();
            }
            statement.executeBatch();
        } catch (BatchUpdateException problem) {
            same(one(connection, "SELECT count() FROM jdbc_failing", row -> row.getLong(1)), 0L);
            return;
        } catch (SQLException problem) {
            same(problem.getErrorCode(), 469);
            same(one(connection, "SELECT count() FROM jdbc_failing", row -> row.getLong(1)), 0L);
            return;
        }
        throw new AssertionError("it was answered");
    }

    private static void midAnswer(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet answer = statement.executeQuery("SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_block_size = 10000")) {
            while (answer.next()) {
                answer.getLong(1);
            }
        } catch (Exception problem) {
            return; // the driver tells a broken answer; which error it was, it does not read
        }
        throw new AssertionError("the answer ended without an error");
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            String slow = "SELECT sum(sleepEachRow(0.01)) AS jdbc_cancel FROM numbers(100000) SETTINGS max_block_size = 10, function_sleep_max_microseconds_per_block = 0";
            String running = "SELECT count() FROM system.processes WHERE query LIKE '%jdbc_cancel%' AND query NOT LIKE '%system.processes%'";
            CompletableFuture<String> ended = CompletableFuture.supplyAsync(() -> {
                try (ResultSet answer = statement.executeQuery(slow)) {
                    return "an answer";
                } catch (SQLException problem) {
                    return problem.toString();
                }
            });
            until(connection, running, 1);
            statement.cancel();
            until(connection, running, 0);
            if (ended.get().equals("an answer")) {
                throw new AssertionError("it was answered");
            }
        } catch (ExecutionException problem) {
            throw new AssertionError(problem.getCause());
        }
    }

    private static void until(Connection connection, String sql, long wanted) throws Exception {
        for (int tries = 0; tries < 400; tries++) {
            if (one(connection, sql, row -> row.getLong(1)) == wanted) {
                return;
            }
            Thread.sleep(50);
        }
        throw new AssertionError("never " + wanted + ": " + sql);
    }

    private static void timeLimit(Connection connection) throws SQLException {
        // As a setting: the driver's setQueryTimeout tells the server nothing.
        refused(connection, "SELECT sum(sleepEachRow(0.01)) FROM numbers(100000) SETTINGS max_block_size = 10, max_execution_time = 1, function_sleep_max_microseconds_per_block = 0", 159);
    }

    private static void definitions(Connection connection) throws SQLException {
        execute(connection, "DROP DATABASE IF EXISTS jdbc_db", "CREATE DATABASE jdbc_db",
                "CREATE TABLE jdbc_db.t (id UInt64) ENGINE = MergeTree ORDER BY id",
                "ALTER TABLE jdbc_db.t ADD COLUMN more String", "INSERT INTO jdbc_db.t VALUES (1, 'x')", "OPTIMIZE TABLE jdbc_db.t FINAL",
                "CREATE MATERIALIZED VIEW jdbc_db.m ENGINE = MergeTree ORDER BY id AS SELECT id FROM jdbc_db.t", "TRUNCATE TABLE jdbc_db.t");
        same(one(connection, "SELECT count() FROM jdbc_db.t", row -> row.getLong(1)), 0L);
        execute(connection, "DROP DATABASE jdbc_db");
    }

    private static void schema(Connection connection) throws SQLException {
        execute(connection, "DROP DATABASE IF EXISTS jdbc_schema", "CREATE DATABASE jdbc_schema");
        try (Connection other = open("CLICKHOUSE_", env("CLICKHOUSE_PASSWORD"))) {
            other.setSchema("jdbc_schema");
            same(one(other, "SELECT currentDatabase()", row -> row.getString(1)), "jdbc_schema");
        }
        execute(connection, "DROP DATABASE jdbc_schema");
    }

    private static void wrongPassword(Connection connection) throws SQLException {
        try (Connection stranger = open("CLICKHOUSE_", "wrong")) {
            refused(stranger, "SELECT 1", 516);
        } catch (SQLException problem) {
            if (!problem.toString().contains("516") && !String.valueOf(problem.getCause()).contains("516") && problem.getErrorCode() != 516) {
                throw problem;
            }
        }
    }

    private static void reader(Connection connection) throws SQLException {
        try (Connection reader = open("CLICKHOUSE_BI_", env("CLICKHOUSE_BI_PASSWORD"))) {
            same(rows(reader.getMetaData().getTables(null, "bi", "%", null), row -> row.getString("TABLE_NAME")), List.of("v_call"));
            same(rows(reader.getMetaData().getColumns(null, "bi", "%", "%"), row -> row.getString("TABLE_NAME") + "." + row.getString("COLUMN_NAME")), List.of("v_call.id"));
            same(one(reader, "SELECT id FROM bi.v_call", row -> row.getLong(1)), 1L);
            refused(reader, "SELECT number FROM bi.call", 497);
            try (PreparedStatement statement = reader.prepareStatement("SELECT count() FROM bi.v_call WHERE id = ?")) {
                statement.setLong(1, 1);
                same(rows(statement.executeQuery(), row -> row.getLong(1)), List.of(1L));
            }
        }
    }
}
