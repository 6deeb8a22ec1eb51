import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;

/** One query by JDBC, as a newcomer's first one: the address, the user, the password and the query are its arguments. */
public final class Answer {
    private Answer() {}

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], arguments[2]);
                ResultSet rows = connection.createStatement().executeQuery(arguments[3])) {
            while (rows.next()) {
                System.out.println(rows.getString(1));
            }
        }
        System.exit(0);
    }
}
