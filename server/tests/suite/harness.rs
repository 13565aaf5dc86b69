//! Running the binary: one-off commands, and servers on ports the system picks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest that a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sample export that SAEDashboard wrote.
pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/sample/export/v1/tiny-stdlib/1-res-tiny")
}

/// The binary with `arguments` (the one a test runner names, else the one built with the tests), in an environment without LatentDB's own variables.
pub(crate) fn latentdb(arguments: &[&str]) -> Command {
    let built = std::env::var_os("CARGO_BIN_EXE_latentdb").unwrap_or_else(|| env!("CARGO_BIN_EXE_latentdb").into());
    let mut command = Command::new(built);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LATENTDB_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs the binary on the database in `data` to its end, without a terminal.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> Output {
    run_with_input(data, arguments, "")
}

/// The same, with `input` on standard input.
pub(crate) fn run_with_input(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = latentdb(arguments)
        .env("LATENTDB_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Standard output of a command that must succeed.
pub(crate) fn succeed(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(output.status.success(), "{arguments:?} failed:\n{}", text(&output.stderr));
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running `latentdb serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) pg: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
}

impl Server {
    /// Serves the database in `data` on free ports of the loopback interface.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(data: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        arguments.extend_from_slice(more);
        let mut child = latentdb(&arguments)
            .env("LATENTDB_DATA", data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if !line.starts_with("listening") {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("the server did not start: {line}{log}");
        }
        drain(child.stderr.take().unwrap());
        let address = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
        Self { pg: address("pg="), http: address("http="), child }
    }

    /// The HTTP address of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http.unwrap())
    }

    /// Sends the signal that service managers stop servers with, and waits for the end.
    pub(crate) fn stop(mut self) -> std::process::ExitStatus {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(asked.elapsed() < PATIENCE, "the server does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps a child's pipe from filling up; what it says goes into the test's own output.
fn drain(pipe: impl Read + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            eprintln!("server: {line}");
        }
    });
}
