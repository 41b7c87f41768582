//! The real `quartermaster` program as a child process, on a free port, with a
//! data directory of its own. It is killed by its process id when dropped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// The first key of a [`TestApp`], unless it is told to make one itself.
pub const BOOTSTRAP_KEY: &str = "bootstrap-key-of-the-tests-0123456789abcdef";

/// How long a start or an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the program did not do what a test wanted.
#[derive(Debug)]
pub struct ApplicationError(pub String);

impl std::fmt::Display for ApplicationError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ApplicationError {}

/// Where a program's data lies: a directory of the test's, or one that goes with it.
#[derive(Clone)]
pub struct DataDir {
    path: PathBuf,
    _temporary: Option<Arc<TempDir>>,
}

impl DataDir {
    /// A new directory that is deleted with its last clone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn temporary() -> Result<Self, ApplicationError> {
        let directory = tempfile::Builder::new()
            .prefix("quartermaster-test-")
            .tempdir()
            .map_err(|error| ApplicationError(format!("no temporary directory: {error}")))?;
        Ok(Self {
            path: directory.path().to_owned(),
            _temporary: Some(Arc::new(directory)),
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How to start the program.
#[derive(Clone)]
pub struct TestAppBuilder {
    program: PathBuf,
    data_dir: Option<DataDir>,
    listen: String,
    environment: BTreeMap<String, String>,
    configuration: Option<String>,
}

impl TestAppBuilder {
    /// Which program; otherwise the one that cargo built beside the test.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = path.into();
        self
    }

    /// A directory that outlives the program, for restarts.
    #[must_use]
    pub fn data_dir(mut self, data_dir: &DataDir) -> Self {
        self.data_dir = Some(data_dir.clone());
        self
    }

    /// Where to listen; otherwise a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// One setting, e.g. `("server.shutdown_seconds", "5")`, given by environment.
    #[must_use]
    pub fn setting(self, key: &str, value: &str) -> Self {
        let name = format!("QUARTERMASTER_{}", key.to_uppercase().replace('.', "__"));
        self.environment(&name, value)
    }

    /// An environment variable. The test's own environment is not handed on.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Lets the program make its first key itself.
    #[must_use]
    pub fn without_bootstrap_key(mut self) -> Self {
        self.environment.remove("QUARTERMASTER_BOOTSTRAP_API_KEY");
        self
    }

    /// The text of a configuration file.
    #[must_use]
    pub fn configuration(mut self, toml: &str) -> Self {
        self.configuration = Some(toml.to_owned());
        self
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// With its log, when it ends instead.
    pub async fn start(self) -> Result<TestApp, ApplicationError> {
        let data_dir = self.data_dir.clone().map_or_else(DataDir::temporary, Ok)?;
        let mut command = self.command(&data_dir, &["serve", "--listen", &self.listen])?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let output = Output::default();
        let errors = Output::default();
        output.follow(child.stdout.take());
        errors.follow(child.stderr.take());
        let mut app = TestApp {
            child,
            data_dir,
            output,
            errors,
            address: String::new(),
        };
        app.wait_until_listening().await?;
        Ok(app)
    }

    /// Runs another command of the program to its end, with the same settings.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<std::process::Output, ApplicationError> {
        let data_dir = self.data_dir.clone().map_or_else(DataDir::temporary, Ok)?;
        self.command(&data_dir, arguments)?
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.not_started(&error))
    }

    /// The command line with this environment, not yet started.
    ///
    /// # Errors
    /// When the configuration file cannot be written.
    pub fn command(
        &self,
        data_dir: &DataDir,
        arguments: &[&str],
    ) -> Result<Command, ApplicationError> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(&self.environment);
        command.env("QUARTERMASTER_SERVER__DATA_DIR", data_dir.path());
        if let Some(toml) = &self.configuration {
            let path = data_dir.path().join("quartermaster.toml");
            std::fs::write(&path, toml)
                .map_err(|error| ApplicationError(format!("{}: {error}", path.display())))?;
            command.arg("--config").arg(path);
        }
        Ok(command)
    }

    fn not_started(&self, error: &std::io::Error) -> ApplicationError {
        let program = self.program.display();
        ApplicationError(format!(
            "{program}: {error}; build it with `cargo build -p quartermaster-server`"
        ))
    }
}

/// A running server.
pub struct TestApp {
    child: Child,
    data_dir: DataDir,
    output: Output,
    errors: Output,
    address: String,
}

impl TestApp {
    /// The usual settings: a free port, a temporary directory, [`BOOTSTRAP_KEY`],
    /// JSON logs, upstreams on 127.0.0.1 allowed.
    #[must_use]
    pub fn builder() -> TestAppBuilder {
        let environment = BTreeMap::from([
            (
                "QUARTERMASTER_BOOTSTRAP_API_KEY".to_owned(),
                BOOTSTRAP_KEY.to_owned(),
            ),
            ("QUARTERMASTER_LOG__FORMAT".to_owned(), "json".to_owned()),
            (
                "QUARTERMASTER_EGRESS__ALLOW_PRIVATE_NETWORKS".to_owned(),
                "true".to_owned(),
            ),
        ]);
        TestAppBuilder {
            program: built_beside_the_test(),
            data_dir: None,
            listen: "127.0.0.1:0".to_owned(),
            environment,
            configuration: None,
        }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client with the bootstrap key.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.base_url()).with_key(BOOTSTRAP_KEY)
    }

    /// A client without a key.
    #[must_use]
    pub fn stranger(&self) -> Client {
        Client::new(&self.base_url())
    }

    /// Its data directory.
    #[must_use]
    pub const fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// What it wrote to standard error so far: its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.errors.text()
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// When it is gone.
    pub fn terminate(&self) -> Result<(), ApplicationError> {
        self.signal(Signal::TERM)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), ApplicationError> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| ApplicationError(format!("no signal: {error}")))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// With its log, when it does not end in 30 seconds.
    pub async fn wait(&mut self) -> Result<ExitStatus, ApplicationError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(ApplicationError(format!(
            "it does not end:\n{}",
            self.log()
        )))
    }

    /// Kills it as a crash would (SIGKILL) and waits until it is gone.
    pub fn kill_hard(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn wait_until_listening(&mut self) -> Result<(), ApplicationError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(address) = listening_address(&self.log()) {
                self.address = address;
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // The reader may still be busy with the last lines.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return Err(ApplicationError(format!(
                    "it ended with {status}:\n{}",
                    self.log()
                )));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(ApplicationError(format!(
            "it does not listen:\n{}",
            self.log()
        )))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill_hard();
    }
}

/// Cargo puts programs into the directory above that of test programs.
fn built_beside_the_test() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let directory = test
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("target/debug"));
    directory.join("quartermaster")
}

/// The address of the main listener, from the log line that announces it.
fn listening_address(log: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let fields = &line["fields"];
        (fields["message"] == "listening")
            .then(|| fields["server.address"].as_str()?.to_owned().into())?
    })
}

/// Lines that a child writes, gathered by a thread.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn follow(&self, pipe: Option<impl std::io::Read + Send + 'static>) {
        let Some(pipe) = pipe else { return };
        let text = self.0.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        });
    }

    fn text(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
