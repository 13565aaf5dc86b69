//! Command tags: what `CommandComplete` says was done.

/// Commands whose tag counts the rows that came back.
const COUNTING: [&str; 8] = ["SELECT", "FETCH", "MOVE", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY"];

/// The tag of `command` after `rows` rows were sent, fetched, changed or copied.
pub(super) fn counted(command: &str, rows: u64) -> String {
    match command {
        // The number between stood for the row's OID, once.
        "INSERT" => format!("INSERT 0 {rows}"),
        command if COUNTING.contains(&command) => format!("{command} {rows}"),
        command => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn tags_are_those_of_postgres() {
        assert_eq!(counted("SELECT", 3), "SELECT 3");
        assert_eq!(counted("INSERT", 2), "INSERT 0 2");
        assert_eq!(counted("MERGE", 1), "MERGE 1");
        assert_eq!(counted("SHOW", 1), "SHOW");
        assert_eq!(counted("EXPLAIN", 9), "EXPLAIN");
        assert_eq!(counted("CREATE TABLE", 0), "CREATE TABLE");
    }
}
