import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.TreeMap;

/**
 * What LatentDB promises to programs that use the Postgres JDBC driver. Each promise is a method; the program
 * prints `ok NAME` or `failed NAME: reason` for each, and test_jdbc.py turns these lines into tests.
 */
public class Promises {
    interface Promise {
        void keep(Connection connection) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        TreeMap<String, Promise> promises = new TreeMap<>();
        promises.put("metadata_lists_tables", Promises::metadataListsTables);
        promises.put("metadata_lists_columns", Promises::metadataListsColumns);
        promises.put("metadata_lists_primary_keys", Promises::metadataListsPrimaryKeys);
        promises.put("metadata_answers_what_tools_ask", Promises::metadataAnswersWhatToolsAsk);
        promises.put("fetch_size_reads_in_portions", Promises::fetchSizeReadsInPortions);
        promises.put("prepared_statement_runs_often", Promises::preparedStatementRunsOften);
        promises.put("batch_insert", Promises::batchInsert);
        promises.put("arrays_go_both_ways", Promises::arraysGoBothWays);
        promises.put("timestamps_go_both_ways", Promises::timestampsGoBothWays);
        promises.put("rollback_undoes", Promises::rollbackUndoes);
        promises.put("errors_have_their_sqlstate", Promises::errorsHaveTheirSqlState);
        promises.put("query_timeout_cancels", Promises::queryTimeoutCancels);
        promises.put("read_only_and_isolation_are_accepted", Promises::readOnlyAndIsolation);

        Properties properties = new Properties();
        properties.setProperty("user", "latentdb");
        for (var promise : promises.entrySet()) {
            try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
                promise.getValue().keep(connection);
                System.out.println("ok " + promise.getKey());
            } catch (Throwable failure) {
                System.out.println("failed " + promise.getKey() + ": " + failure.toString().replace('\n', ' '));
            }
        }
    }

    static void metadataListsTables(Connection connection) throws Exception {
        List<String> tables = new ArrayList<>();
        List<String> views = new ArrayList<>();
        DatabaseMetaData metadata = connection.getMetaData();
        try (ResultSet rows = metadata.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})) {
            while (rows.next()) {
                (rows.getString("TABLE_TYPE").equals("VIEW") ? views : tables).add(rows.getString("TABLE_NAME"));
                if (rows.getString("TABLE_NAME").equals("features")) {
                    check(rows.getString("REMARKS").startsWith("Features (latents)"), "comment of features");
                }
            }
        }
        check(tables.containsAll(List.of("models", "features", "activations")), "tables " + tables);
        check(views.contains("activation_records"), "views " + views);
    }

    static void metadataListsColumns(Connection connection) throws Exception {
        TreeMap<String, Integer> types = new TreeMap<>();
        try (ResultSet rows = connection.getMetaData().getColumns(null, "public", "features", "%")) {
            while (rows.next()) {
                types.put(rows.getString("COLUMN_NAME"), rows.getInt("DATA_TYPE"));
                if (rows.getString("COLUMN_NAME").equals("density")) {
                    check(rows.getString("REMARKS").startsWith("Fraction of tokens"), "comment of density");
                    equal(DatabaseMetaData.columnNullable, rows.getInt("NULLABLE"));
                }
            }
        }
        equal(Types.VARCHAR, types.get("model_id"));
        equal(Types.INTEGER, types.get("index"));
        equal(Types.DOUBLE, types.get("density"));
        equal(Types.ARRAY, types.get("top_logits"));
        equal(Types.TIMESTAMP, types.get("created_at"));
    }

    static void metadataListsPrimaryKeys(Connection connection) throws Exception {
        TreeMap<Integer, String> key = new TreeMap<>();
        try (ResultSet rows = connection.getMetaData().getPrimaryKeys(null, "public", "features")) {
            while (rows.next()) {
                key.put(rows.getInt("KEY_SEQ"), rows.getString("COLUMN_NAME"));
            }
        }
        equal(List.of("model_id", "source_id", "index"), new ArrayList<>(key.values()));
    }

    static void metadataAnswersWhatToolsAsk(Connection connection) throws Exception {
        DatabaseMetaData metadata = connection.getMetaData();
        for (ResultSet rows : new ResultSet[] {
            metadata.getCatalogs(), metadata.getSchemas(), metadata.getTypeInfo(), metadata.getTableTypes(),
            metadata.getIndexInfo(null, "public", "features", false, true), metadata.getImportedKeys(null, "public", "features"),
            metadata.getExportedKeys(null, "public", "features"), metadata.getFunctions(null, "public", "%"),
            metadata.getProcedures(null, "public", "%"), metadata.getTablePrivileges(null, "public", "features"),
        }) {
            while (rows.next()) {
                rows.getString(1);
            }
            rows.close();
        }
    }

    static void fetchSizeReadsInPortions(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT i FROM generate_series(1, 25000) AS s(i) ORDER BY i")) {
            statement.setFetchSize(100);
            long expected = 1;
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    equal(expected++, rows.getLong(1));
                }
            }
            equal(25001L, expected);
        }
        connection.commit();
    }

    static void preparedStatementRunsOften(Connection connection) throws Exception {
        // The driver switches to a named statement and binary results after five runs.
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int + 1, ?::text || '!', ?::float8")) {
            for (int round = 0; round < 20; round++) {
                statement.setInt(1, round);
                statement.setString(2, "text " + round);
                statement.setDouble(3, round / 2.0);
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next(), "a row");
                    equal(round + 1, rows.getInt(1));
                    equal("text " + round + "!", rows.getString(2));
                    equal(round / 2.0, rows.getDouble(3));
                }
            }
        }
    }

    static void batchInsert(Connection connection) throws Exception {
        withTable(connection, "jdbc_batch", "id bigint, name text", () -> {
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_batch VALUES (?, ?)")) {
                for (int number = 0; number < 50; number++) {
                    statement.setLong(1, number);
                    statement.setString(2, number % 10 == 0 ? null : "name " + number);
                    statement.addBatch();
                }
                for (int count : statement.executeBatch()) {
                    equal(1, count);
                }
            }
            equal(50L, number(connection, "SELECT count(*) FROM jdbc_batch"));
            equal(45L, number(connection, "SELECT count(name) FROM jdbc_batch"));
        });
    }

    static void arraysGoBothWays(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int[], ?::text[], ?::real[]")) {
            Integer[] integers = {1, null, 3};
            String[] texts = {"a,b", "\"quoted\"", null, ""};
            statement.setArray(1, connection.createArrayOf("int4", integers));
            statement.setArray(2, connection.createArrayOf("text", texts));
            statement.setArray(3, connection.createArrayOf("float4", new Float[] {1.5f}));
            for (int round = 0; round < 10; round++) {
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next(), "a row");
                    equal(Arrays.asList(integers), Arrays.asList((Object[]) rows.getArray(1).getArray()));
                    equal(Arrays.asList(texts), Arrays.asList((Object[]) rows.getArray(2).getArray()));
                    equal(Arrays.asList(1.5f), Arrays.asList((Object[]) rows.getArray(3).getArray()));
                }
            }
        }
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT top_logit_tokens FROM features LIMIT 1")) {
            check(rows.next(), "a feature");
            Array tokens = rows.getArray(1);
            equal(Types.VARCHAR, tokens.getBaseType());
            check(((Object[]) tokens.getArray()).length > 0, "tokens");
        }
    }

    static void timestampsGoBothWays(Connection connection) throws Exception {
        Timestamp instant = Timestamp.valueOf("2026-11-23 01:02:03.456789");
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::timestamptz, ?::timestamp")) {
            statement.setTimestamp(1, instant);
            statement.setTimestamp(2, instant);
            for (int round = 0; round < 10; round++) {
                try (ResultSet rows = statement.executeQuery()) {
                    check(rows.next(), "a row");
                    equal(instant, rows.getTimestamp(1));
                    equal(instant, rows.getTimestamp(2));
                }
            }
        }
    }

    static void rollbackUndoes(Connection connection) throws Exception {
        withTable(connection, "jdbc_rollback", "id bigint", () -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                equal(2, statement.executeUpdate("INSERT INTO jdbc_rollback VALUES (1), (2)"));
                connection.rollback();
                equal(1, statement.executeUpdate("INSERT INTO jdbc_rollback VALUES (3)"));
                connection.commit();
            }
            connection.setAutoCommit(true);
            equal(3L, number(connection, "SELECT sum(id) FROM jdbc_rollback"));
        });
    }

    static void errorsHaveTheirSqlState(Connection connection) throws Exception {
        equal("42P01", stateOf(connection, "SELECT * FROM no_such_table"));
        equal("42601", stateOf(connection, "SELEC 1"));
        equal(1L, number(connection, "SELECT 1"));
    }

    static void queryTimeoutCancels(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            try {
                statement.executeQuery("SELECT pg_sleep(10)");
                throw new AssertionError("the query was not cancelled");
            } catch (SQLException cancelled) {
                equal("57014", cancelled.getSQLState());
            }
        }
        equal(1L, number(connection, "SELECT 1"));
    }

    static void readOnlyAndIsolation(Connection connection) throws Exception {
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        connection.setReadOnly(true);
        connection.setAutoCommit(false);
        equal(1L, number(connection, "SELECT 1"));
        connection.commit();
        check(connection.isValid(5), "the connection is valid");
    }

    interface Work {
        void run() throws Exception;
    }

    static void withTable(Connection connection, String name, String columns, Work work) throws Exception {
        execute(connection, "CREATE TABLE " + name + " (" + columns + ")");
        try {
            work.run();
        } finally {
            if (!connection.getAutoCommit()) {
                connection.rollback();
                connection.setAutoCommit(true);
            }
            execute(connection, "DROP TABLE " + name);
        }
    }

    static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    static long number(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            check(rows.next(), "a row");
            return rows.getLong(1);
        }
    }

    static String stateOf(Connection connection, String sql) {
        try {
            execute(connection, sql);
            return "no error";
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    static void equal(Object expected, Object found) {
        check(expected.equals(found), "expected " + expected + ", found " + found);
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
