//! The programs, processes and files that a cluster is made of.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const INSTALL: &str = "install it with `apt-get install postgresql` (15 or newer)";

/// Waits for the end of this process, then ends the server and removes its files. A
/// destructor is not enough: the shared cluster has none that runs, and a killed test
/// runs none at all.
pub(super) fn start_janitor(directory: &Path) -> Child {
    const SCRIPT: &str = r#"
        read -r _
        pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
        if [ -n "$pid" ]; then
            pkill -CONT -P "$pid"; kill -CONT "$pid"; kill -QUIT "$pid"
            for _ in 1 2 3 4 5 6 7 8 9 10; do
                kill -0 "$pid" || break
                sleep 0.2
            done
        fi 2>/dev/null
        rm -rf "$1"
    "#;
    Command::new("sh")
        .args(["-c", SCRIPT, "janitor"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started")
}

pub(super) fn find_programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, programs)| programs.join("initdb").exists())
        .collect();
    versions.sort();
    if let Some((_, programs)) = versions.pop() {
        return programs;
    }
    let found = Command::new("pg_config").arg("--bindir").output();
    let programs = found
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()));
    programs
        .filter(|programs| programs.join("initdb").exists())
        .unwrap_or_else(|| panic!("this test needs PostgreSQL's `initdb`; {INSTALL}"))
}

/// PostgreSQL refuses to run as root, so root runs it as user `postgres`.
pub(super) fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

pub(super) fn make_directory() -> PathBuf {
    let template = std::env::temp_dir().join("quartermaster-postgres.XXXXXX");
    let output = succeed(as_postgres(Path::new("mktemp")).arg("-d").arg(template));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be bound");
    listener.local_addr().expect("it has an address").port()
}

pub(super) fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; state and parent follow.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

pub(super) fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .output();
    sent.expect("`kill` can be run");
}

pub(super) fn succeed(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}; {INSTALL}"));
    if !output.status.success() {
        let _ = std::io::stderr().write_all(&output.stderr);
        panic!("{command:?} failed with {}", output.status);
    }
    output
}
