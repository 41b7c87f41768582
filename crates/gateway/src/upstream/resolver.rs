//! Turning host names into addresses.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Resolves host names. A trait, so that tests can script what a hostile name
/// server would answer.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Every address of `host`, which may be an address itself.
    ///
    /// # Errors
    /// When the name does not resolve.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}
