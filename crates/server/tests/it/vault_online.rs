//! The vault and the process around it, under a running server.

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use testkit::application::DataDir;
use testkit::simulator::serve::RunningSimulator;

use crate::support::{CHAT, app, at_simulator, chat, create, said};

#[tokio::test]
async fn calls_and_writes_go_on_while_the_root_key_rotates() {
    let simulator = RunningSimulator::start().await.unwrap();
    let data_dir = DataDir::temporary().unwrap();
    let mut server = app().data_dir(&data_dir).start().await.unwrap();
    let client = server.client();
    create(&client, &at_simulator("before", &simulator, "gpt-test")).await;

    let beside = app().data_dir(&data_dir);
    let rotations = tokio::task::spawn_blocking(move || {
        for arguments in [
            &["vault", "rotate-root-key"][..],
            &["vault", "rotate-root-key", "--retire"],
        ]
        .repeat(3)
        {
            let output = beside.run(arguments).unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    });
    let mut made = 0;
    while !rotations.is_finished() || made < 10 {
        let name = format!("made-{made}");
        create(&client, &at_simulator(&name, &simulator, "gpt-test")).await;
        for model in ["before", &name] {
            said(&client.post(CHAT, &chat(model)).await.unwrap());
        }
        made += 1;
    }
    rotations.await.unwrap();

    server.terminate().unwrap();
    server.wait().await.unwrap();
    let server = app().data_dir(&data_dir).start().await.unwrap();
    for model in ["before", "made-0", &format!("made-{}", made - 1)] {
        said(&server.client().post(CHAT, &chat(model)).await.unwrap());
    }

    // What the control plane sealed opens in a backup taken beside the running server, and
    // in a server over the restored data.
    let copies = tempfile::tempdir().unwrap();
    let place = |name: &str| copies.path().join(name).display().to_string();
    let backup = [
        "vault",
        "backup",
        "--output",
        &place("db"),
        "--root-key-output",
        &place("keys"),
    ];
    let output = app().data_dir(&data_dir).run(&backup).unwrap();
    let said_so = String::from_utf8_lossy(&output.stderr);
    assert!(
        said_so.contains(&format!("copying: {}", made + 1)),
        "{said_so}"
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let (database, root_key) = printed.trim().split_once('\n').unwrap();
    let elsewhere = DataDir::temporary().unwrap();
    let restore = [
        "vault",
        "restore",
        "--database",
        database,
        "--root-key",
        root_key,
    ];
    let output = app().data_dir(&elsewhere).run(&restore).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let restored = app().data_dir(&elsewhere).start().await.unwrap();
    said(&restored.client().post(CHAT, &chat("before")).await.unwrap());
}

#[tokio::test]
async fn a_crash_leaves_no_core() {
    let mut server = app().start().await.unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process_id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    server.signal(Signal::ABORT).unwrap();
    let status = server.wait().await.unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
}
