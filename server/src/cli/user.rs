//! `latentdb user`: who may log in over the Postgres wire protocol.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;
use latentdb_engine::{Error, ErrorKind, Result, text_literal};

use super::database::{self, Purpose};
use super::{CliResult, Failure, Global};

/// Environment variable that `user add` reads the password from.
const PASSWORD_VARIABLE: &str = "LATENTDB_PASSWORD";

/// What to do with users.
#[derive(Debug, Subcommand)]
pub(super) enum UserAction {
    /// Make a user that logs in with a password
    #[command(after_help = "\
The password is asked for on a terminal; otherwise it is read from LATENTDB_PASSWORD or from the first
line of standard input. It is stored as a SCRAM-SHA-256 verifier.

Examples:
  latentdb user add ana --data ./mydb
  LATENTDB_PASSWORD=… latentdb user add grafana --data ./mydb")]
    Add {
        /// Name to log in with
        name: String,
    },
    /// Give a user a new password
    #[command(after_help = "Examples:\n  latentdb user password ana --data ./mydb")]
    Password {
        /// Name of the user
        name: String,
    },
    /// Remove a user
    #[command(after_help = "Examples:\n  latentdb user remove ana --data ./mydb")]
    Remove {
        /// Name of the user
        name: String,
    },
}

pub(super) async fn run(global: &Global, action: UserAction) -> CliResult {
    let (sql, done) = match action {
        UserAction::Add { name } => {
            let password = read_password(&name)?;
            (
                format!("CREATE USER {} PASSWORD {}", quote_name(&name), text_literal(&password)),
                format!("user {name} can log in"),
            )
        }
        UserAction::Password { name } => {
            let password = read_password(&name)?;
            (
                format!("ALTER USER {} PASSWORD {}", quote_name(&name), text_literal(&password)),
                format!("user {name} has a new password"),
            )
        }
        UserAction::Remove { name } => (format!("DROP USER {}", quote_name(&name)), format!("user {name} is removed")),
    };
    let engine = database::open(global, Purpose::Write).await?;
    let session = engine.session("latentdb");
    for statement in session.parse(&sql)? {
        session.run(&statement).await?;
    }
    drop(session);
    engine.close().await?;
    println!("{done}");
    Ok(())
}

fn read_password(name: &str) -> CliResult<String> {
    let password = match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) => password,
        Err(_) if std::io::stdin().is_terminal() => ask_twice(name)?,
        Err(_) => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line).map_err(|error| unreadable(&error))?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if password.is_empty() {
        return Err(Failure::Usage(format!(
            "the password is empty; type one, set {PASSWORD_VARIABLE}, or send it on standard input"
        )));
    }
    Ok(password)
}

fn ask_twice(name: &str) -> Result<String> {
    let ask = |prompt: &str| {
        eprint!("{prompt}: ");
        console::Term::stderr().read_secure_line().map_err(|error| unreadable(&error))
    };
    let password = ask(&format!("password for {name}"))?;
    if ask("the same again")? == password {
        Ok(password)
    } else {
        Err(Error::new(ErrorKind::InvalidValue, "the two passwords differ"))
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read the password: {error}"))
}

/// `name` as a quoted SQL identifier.
pub(super) fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
