//! Throw-away PostgreSQL clusters: made with `initdb`, on a free port of 127.0.0.1,
//! gone when the test ends, even when it ends by `kill -9`.
//!
//! Most tests want [`Cluster::shared`] and a [`Cluster::fresh_database`] of their own,
//! since a database costs 50 ms and a cluster seconds. A test that stops, kills or
//! pauses the server starts its own.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test whose server cannot run must fail, and say why"
)]

mod system;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use system::{
    as_postgres, children_of, find_programs, free_port, make_directory, signal, start_janitor,
    succeed,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a cluster survives a power cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// It flushes nothing: fast, and enough for everything but crash tests.
    Volatile,
    /// It flushes every commit, as a production server does.
    Durable,
}

/// A PostgreSQL server of one's own.
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    durability: Durability,
    server: Mutex<Option<Child>>,
    databases: AtomicU32,
    /// Cleans up when its standard input ends, that is, when this process does.
    janitor: Option<Child>,
}

impl Cluster {
    /// Starts a server that does not flush to disk.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Durability::Volatile)
    }

    /// Starts a server that flushes every commit to disk.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(Durability::Durable)
    }

    /// The one server that the tests of this process share.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start_with(durability: Durability) -> Self {
        let programs = find_programs();
        let directory = make_directory();
        let janitor = start_janitor(&directory);
        let mut initdb = as_postgres(&programs.join("initdb"));
        initdb.arg("-D").arg(directory.join("data"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        succeed(&mut initdb);
        let cluster = Self {
            programs,
            directory,
            port: free_port(),
            durability,
            server: Mutex::new(None),
            databases: AtomicU32::new(0),
            janitor: Some(janitor),
        };
        cluster.start_again();
        cluster
    }

    /// Where clients find `database`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and says where clients find it.
    #[must_use]
    pub fn fresh_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.query("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Runs SQL in `database` with `psql` and returns what it prints: one line a row,
    /// columns divided by `|`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-d", &self.url(database), "-c", sql]);
        let output = succeed(&mut psql);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes the server accept TLS with this certificate and its key, both PEM.
    ///
    /// # Panics
    /// When it refuses them.
    pub fn enable_tls(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let mut write = as_postgres(Path::new("sh"));
            write.args(["-c", "umask 077; printf %s \"$2\" > \"$1\"", "sh"]);
            write.arg(self.directory.join("data").join(name)).arg(text);
            succeed(&mut write);
        }
        self.query("postgres", "ALTER SYSTEM SET ssl = on");
        self.query("postgres", "SELECT pg_reload_conf()");
        let started = Instant::now();
        while self.query("postgres", "SHOW ssl") != "on" {
            assert!(
                started.elapsed() < PATIENCE,
                "no TLS: {}",
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Shuts the server down in order: clients are disconnected, nothing is lost.
    pub fn stop(&self) {
        self.end_with("INT");
    }

    /// Ends the server as a power cut would end it: without a checkpoint.
    pub fn crash(&self) {
        self.end_with("QUIT");
    }

    /// Kills the server's first process with `SIGKILL`.
    pub fn kill(&self) {
        self.end_with("KILL");
    }

    /// Starts the server again on the same port, after [`Self::stop`], [`Self::crash`]
    /// or [`Self::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&self) {
        let started = Instant::now();
        loop {
            let mut server = self.launch();
            if self.becomes_ready(&mut server) {
                *self.server() = Some(server);
                return;
            }
            // Processes of a killed server may hold its memory for a moment.
            assert!(
                started.elapsed() < PATIENCE,
                "PostgreSQL does not start: {}",
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends the server without a checkpoint and starts it again, as
    /// `pg_ctl restart -m immediate` does.
    pub fn restart(&self) {
        self.crash();
        self.start_again();
    }

    /// Stops every process of the server where it stands: connections stay open and
    /// nothing answers. Worse than a dead server.
    pub fn pause(&self) {
        let postmaster = self.pid();
        signal("STOP", postmaster);
        for child in children_of(postmaster) {
            signal("STOP", child);
        }
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        let postmaster = self.pid();
        for child in children_of(postmaster) {
            signal("CONT", child);
        }
        signal("CONT", postmaster);
    }

    fn launch(&self) -> Child {
        let mut server = as_postgres(&self.programs.join("postgres"));
        server.arg("-D").arg(self.directory.join("data"));
        server.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        server.arg("-k").arg(&self.directory);
        server.args(["-c", "max_connections=200", "-c", "shared_buffers=32MB"]);
        if self.durability == Durability::Volatile {
            server.args(["-c", "fsync=off", "-c", "full_page_writes=off"]);
        }
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.log_file())
            .expect("the log file can be written");
        server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        server.spawn().expect("PostgreSQL can be started")
    }

    fn becomes_ready(&self, server: &mut Child) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if server.try_wait().ok().flatten().is_some() {
                return false;
            }
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn end_with(&self, name: &str) {
        if let Some(mut server) = self.server().take() {
            signal(name, server.id());
            server.wait().expect("PostgreSQL can be waited for");
        }
    }

    fn pid(&self) -> u32 {
        self.server().as_ref().expect("the server runs").id()
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut server) = self.server().take() {
            signal("CONT", server.id());
            signal("QUIT", server.id());
            let _ = server.wait();
        }
        if let Some(mut janitor) = self.janitor.take() {
            drop(janitor.stdin.take());
            let _ = janitor.wait();
        }
    }
}
