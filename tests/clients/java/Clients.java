// ClickHouse's official JDBC driver runs the cases that come by standard input, and prints what it got, a line a case.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Array;
import java.math.BigDecimal;
import java.net.InetAddress;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

public class Clients {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss");

    public static void main(String[] arguments) throws Exception {
        JsonNode job = JSON.readTree(System.in);
        Properties properties = new Properties();
        properties.setProperty("user", "default");
        properties.setProperty("password", ""); // else it sends "null"
        properties.setProperty("compress", job.get("compression").asText().equals("lz4") ? "true" : "false");
        properties.setProperty("decompress", job.get("compression").asText().equals("lz4") ? "true" : "false");
        String url = "jdbc:ch:http://" + job.get("address").asText() + "/" + job.get("database").asText();
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            int number = 0;
            for (JsonNode each : job.get("cases")) {
                String table = job.get("prefix").asText() + number++;
                System.out.println(JSON.writeValueAsString(Map.of("name", each.get("name").asText(), "got", got(connection, table, each))));
            }
        }
        System.exit(0); // the driver's threads outlive the connection
    }

    private static Object got(Connection connection, String table, JsonNode each) {
        try {
            return run(connection, table, each);
        } catch (Exception error) {
            return "failed: " + error;
        }
    }

    private static Object run(Connection connection, String table, JsonNode each) throws Exception {
        String sql = each.path("sql").asText();
        switch (each.get("kind").asText()) {
            case "query":
                return rows(connection, withParams(sql, each.path("params")));
            case "types":
                return types(connection, table, each);
            case "error":
                try {
                    rows(connection, sql);
                    return "no error";
                } catch (SQLException error) {
                    return error.getErrorCode();
                }
            case "wide":
                return wide(connection, sql);
            case "cancel":
                return cancelled(connection, sql);
            default:
                throw new IllegalArgumentException(each.toString());
        }
    }

    /** JDBC knows no named parameters: they are set as the question marks of a prepared statement are. */
    private static String withParams(String sql, JsonNode params) {
        for (var names = params.fieldNames(); names.hasNext(); ) {
            String name = names.next();
            String text = params.get(name).asText().replace("\\", "\\\\").replace("'", "\\'");
            sql = sql.replaceAll("\\{" + name + ":((?:[^{}])+)\\}", java.util.regex.Matcher.quoteReplacement("CAST('" + text + "', '") + "$1" + "')");
        }
        return sql;
    }

    private static List<List<Object>> rows(Connection connection, String sql) throws Exception {
        List<List<Object>> told = new ArrayList<>();
        for (Object[] row : values(connection, sql)) {
            List<Object> line = new ArrayList<>();
            for (Object value : row) {
                line.add(canonical(value));
            }
            told.add(line);
        }
        return told;
    }

    private static List<Object[]> values(Connection connection, String sql) throws SQLException {
        List<Object[]> all = new ArrayList<>();
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            int columns = rows.getMetaData().getColumnCount();
            while (rows.next()) {
                Object[] row = new Object[columns];
                for (int n = 0; n < columns; n++) {
                    boolean isTime = rows.getMetaData().getColumnTypeName(n + 1).startsWith("DateTime");
                    row[n] = isTime ? rows.getObject(n + 1, ZonedDateTime.class) : rows.getObject(n + 1);
                }
                all.add(row);
            }
        }
        return all;
    }

    /** Makes a table of the type, reads it, inserts what it read into another, and has the two compared. */
    private static Object types(Connection connection, String table, JsonNode each) throws Exception {
        String copied = table + "_copied";
        String type = each.get("type").asText();
        StringBuilder literals = new StringBuilder();
        int number = 0;
        for (JsonNode value : each.get("values")) {
            literals.append(number == 0 ? "" : ", ").append("(").append(number++).append(", ").append(value.asText()).append(")");
        }
        try (Statement statement = connection.createStatement()) {
            for (String name : new String[] {table, copied}) {
                statement.execute("CREATE TABLE " + name + " (n UInt8, v " + type + ") ENGINE = MergeTree ORDER BY n");
            }
            statement.execute("INSERT INTO " + table + " VALUES " + literals);
        }
        String sql = "SELECT n, v FROM " + table + " ORDER BY n";
        try (var insert = connection.prepareStatement("INSERT INTO " + copied + " VALUES (?, ?)")) {
            for (Object[] row : values(connection, sql)) {
                insert.setObject(1, row[0]);
                insert.setObject(2, type.startsWith("Tuple") ? connection.createStruct(type, (Object[]) row[1]) : row[1]);
                insert.addBatch();
            }
            insert.executeBatch();
        }
        String all = "(SELECT groupArray((n, v)) FROM (SELECT * FROM %s ORDER BY n))";
        Object same = rows(connection, "SELECT " + String.format(all, table) + " = " + String.format(all, copied));
        return List.of(rows(connection, sql), same);
    }

    /** Reads a result of many rows, one by one: their number, and the sum of the first column. */
    private static Object wide(Connection connection, String sql) throws SQLException {
        long count = 0;
        long sum = 0;
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            while (rows.next()) {
                count++;
                sum += rows.getLong(1);
            }
        }
        return List.of(String.valueOf(count), String.valueOf(sum));
    }

    /** Starts a query without an end, gives it up, and asks another on the same connection. */
    private static Object cancelled(Connection connection, String sql) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            statement.executeQuery(sql);
            return "it ended";
        } catch (SQLException expected) {
            return rows(connection, "SELECT 1");
        }
    }

    private static Object canonical(Object value) throws Exception {
        if (value == null) {
            return null;
        } else if (value instanceof Map<?, ?> map) {
            return pairs(map);
        } else if (value instanceof Iterable<?> list) {
            List<Object> told = new ArrayList<>();
            for (Object each : list) {
                told.add(canonical(each));
            }
            return told;
        } else if (value.getClass().isArray()) {
            List<Object> told = new ArrayList<>();
            for (int n = 0; n < Array.getLength(value); n++) {
                told.add(canonical(Array.get(value, n)));
            }
            return told;
        } else if (value instanceof java.sql.Array array) {
            return canonical(array.getArray());
        } else if (value instanceof java.sql.Struct struct) {
            return canonical(struct.getAttributes());
        }
        return text(value);
    }

    private static List<Object> pairs(Map<?, ?> map) throws Exception {
        TreeMap<String, Object> sorted = new TreeMap<>();
        for (var entry : map.entrySet()) {
            sorted.put(String.valueOf(canonical(entry.getKey())), canonical(entry.getValue()));
        }
        List<Object> told = new ArrayList<>();
        sorted.forEach((key, each) -> told.add(java.util.Arrays.asList(key, each)));
        return told;
    }

    private static String text(Object value) throws Exception {
        if (value instanceof Double || value instanceof Float) {
            return String.format("%016x", Double.doubleToRawLongBits(((Number) value).doubleValue()));
        } else if (value instanceof BigDecimal number) {
            return number.signum() == 0 ? "0" : number.stripTrailingZeros().toPlainString();
        } else if (value instanceof InetAddress address) {
            return address.getHostAddress();
        } else if (value instanceof java.sql.Timestamp stamp) {
            return time(stamp.toInstant());
        } else if (value instanceof java.sql.Date date) {
            return time(date.toLocalDate().atStartOfDay().toInstant(ZoneOffset.UTC));
        } else if (value instanceof LocalDate date) {
            return time(date.atStartOfDay().toInstant(ZoneOffset.UTC));
        } else if (value instanceof LocalDateTime local) {
            return time(local.toInstant(ZoneOffset.UTC));
        } else if (value instanceof ZonedDateTime zoned) {
            return time(zoned.toInstant());
        } else if (value instanceof OffsetDateTime offset) {
            return time(offset.toInstant());
        }
        return String.valueOf(value);
    }

    private static String time(Instant at) {
        String fraction = at.getNano() == 0 ? "" : String.format(".%09d", at.getNano()).replaceAll("0+$", "");
        return TIME.format(at.atOffset(ZoneOffset.UTC)) + fraction;
    }
}
