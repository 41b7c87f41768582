//! The kit's own promise: a cluster comes, goes, hangs and comes back.

use std::time::{Duration, Instant};

use testkit::postgres::Cluster;

#[test]
fn a_cluster_survives_its_drills_and_leaves_nothing_behind() {
    let cluster = Cluster::start();
    let url = cluster.fresh_database();
    assert!(url.ends_with("/test_0"), "{url}");
    cluster.query("test_0", "CREATE TABLE t (n INT); INSERT INTO t VALUES (7)");

    cluster.pause();
    let paused = Instant::now();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| cluster.query("test_0", "SELECT n FROM t"));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!answer.is_finished(), "a paused server answers nothing");
        cluster.resume();
        assert_eq!(answer.join().unwrap(), "7");
    });
    assert!(paused.elapsed() >= Duration::from_millis(500));

    cluster.restart();
    assert_eq!(cluster.query("test_0", "SELECT n FROM t"), "7");
    cluster.kill();
    cluster.start_again();
    assert_eq!(cluster.query("test_0", "SELECT n FROM t"), "7");

    let directory = cluster.query("postgres", "SHOW unix_socket_directories");
    assert!(std::path::Path::new(&directory).exists());
    drop(cluster);
    assert!(!std::path::Path::new(&directory).exists());
}
