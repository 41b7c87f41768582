//! PostgreSQL over TLS, as managed databases require it.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use store::{Database, StoreError};
use testkit::postgres::Cluster;

use crate::support::options;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn the_server_must_prove_its_name_where_the_url_asks_for_it() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let cluster = Cluster::start();
    cluster.enable_tls(&certificate.pem(), &key.serialize_pem());
    let url = cluster.fresh_database();

    let directory = tempfile::tempdir().unwrap();
    let trusted = directory.path().join("trusted.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let other = directory.path().join("other.pem");
    std::fs::write(&other, self::authority().pem()).unwrap();
    let verified = |roots: &std::path::Path| {
        options(format!(
            "{url}?sslmode=verify-full&sslrootcert={}",
            roots.display()
        ))
    };

    let database = Database::connect(&verified(&trusted)).await.unwrap();
    database.ping().await.unwrap();
    let encrypted = cluster.query(
        "postgres",
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'quartermaster'",
    );
    assert_eq!(encrypted, "t");

    let refusal = Database::connect(&verified(&other)).await.map(drop);
    assert!(
        matches!(refusal, Err(StoreError::Unavailable(_))),
        "{refusal:?}"
    );
    // Without an authority of one's own, the public ones count.
    let refusal = Database::connect(&options(format!("{url}?sslmode=verify-full")))
        .await
        .map(drop);
    assert!(
        matches!(refusal, Err(StoreError::Unavailable(_))),
        "{refusal:?}"
    );
}
