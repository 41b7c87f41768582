//! The egress guard: which addresses may be connected to.
//!
//! A name is resolved once; if any of its addresses is not a public one, the
//! call is refused; the connection is then made to one of the very addresses that were
//! checked. A name server that answers differently a moment later changes nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;
use providers::endpoint::is_global;

use super::resolver::Resolver;

/// What the operator says about where calls may go (`egress.*`).
#[derive(Clone, Debug, Default)]
pub struct EgressSettings {
    /// Upstreams on loopback, private and link-local addresses, and over plain HTTP.
    pub allow_private_networks: bool,
    /// `host:port` → `host:port` to connect to instead. TLS name and `Host` stay
    /// those of the original; the operator's address is not checked.
    pub connect_to: BTreeMap<String, String>,
    /// Further roots to trust, in PEM.
    pub extra_root_certificates: Option<Vec<u8>>,
}

/// Where a request goes by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// Host name or address, without brackets.
    pub(super) host: String,
    /// Port, explicit or the scheme's.
    pub(super) port: u16,
    /// Whether the scheme is `https`.
    pub(super) is_tls: bool,
}

/// Why a destination is not connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum EgressError {
    /// The operator does not allow it. Trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The name does not resolve.
    #[error("its name does not resolve: {}", reason(.0))]
    Unresolved(std::io::Error),
}

/// Why a name does not resolve, without the phrase that the standard library puts before
/// the system's own.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let phrase = "failed to lookup address information: ";
    text.strip_prefix(phrase).map(str::to_owned).unwrap_or(text)
}

impl Destination {
    pub(super) fn of(uri: &Uri) -> Result<Self, EgressError> {
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => {
                let message = "only https and http addresses can be called".to_owned();
                return Err(EgressError::Refused(message));
            }
        };
        let Some(host) = uri.host() else {
            return Err(EgressError::Refused("the address has no host".to_owned()));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self {
            host: host.to_owned(),
            port,
            is_tls,
        })
    }
}

/// The guard.
pub(super) struct Egress {
    allow_private_networks: bool,
    connect_to: BTreeMap<String, String>,
    resolver: Arc<dyn Resolver>,
}

impl Egress {
    pub(super) fn new(settings: &EgressSettings, resolver: Arc<dyn Resolver>) -> Self {
        Self {
            allow_private_networks: settings.allow_private_networks,
            connect_to: settings.connect_to.clone(),
            resolver,
        }
    }

    /// The addresses that may be connected to, all of them checked.
    pub(super) async fn addresses(
        &self,
        destination: &Destination,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let Destination { host, port, is_tls } = destination;
        if let Some(instead) = self.connect_to.get(&format!("{host}:{port}")) {
            return self.operators_address(instead).await;
        }
        if !is_tls && !self.allow_private_networks {
            return Err(EgressError::Refused(
                "a provider is called over https; plain http needs egress.allow_private_networks"
                    .to_owned(),
            ));
        }
        let addresses = self.resolve(host, *port).await?;
        match addresses.iter().find(|address| !self.allows(address.ip())) {
            None => Ok(addresses),
            Some(_) => Err(EgressError::Refused(format!(
                "{host} leads to an address that is not on the public internet; \
                 the operator can allow it by egress.allow_private_networks"
            ))),
        }
    }

    async fn operators_address(&self, instead: &str) -> Result<Vec<SocketAddr>, EgressError> {
        let parts = instead
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parts else {
            return Err(EgressError::Refused(format!(
                "egress.connect_to leads to {instead}, which is not host:port"
            )));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.resolve(host, port).await
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let addresses = self
            .resolver
            .resolve(host, port)
            .await
            .map_err(EgressError::Unresolved)?;
        if addresses.is_empty() {
            let none = std::io::Error::other("no address");
            return Err(EgressError::Unresolved(none));
        }
        Ok(addresses)
    }

    fn allows(&self, address: IpAddr) -> bool {
        if self.allow_private_networks {
            !is_never_callable(address)
        } else {
            is_public(address)
        }
    }
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    is_global(address) && !is_never_callable(address)
}

/// What nobody means to call a model at, private network or not: nothing,
/// everybody, and the metadata services of clouds, which hand out credentials.
/// An operator who does mean it names the address in `egress.connect_to`.
fn is_never_callable(address: IpAddr) -> bool {
    let metadata_v4 = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    match address {
        IpAddr::V4(v4) => {
            v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || metadata_v4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6.is_unspecified()
                || v6.is_multicast()
                || v6 == metadata
                || embedded_v4(v6).is_some_and(|v4| is_never_callable(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside a mapped, compatible or NAT64 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let is_nat64 = matches!((a, b, c, d, e, f), (0x64, 0xff9b, 0, 0, 0, 0));
    let is_low = matches!((a, b, c, d, e), (0, 0, 0, 0, 0)) && matches!(f, 0 | 0xffff);
    let is_loopback_or_nothing = is_low && f == 0 && g == 0 && h <= 1;
    if (is_nat64 || is_low) && !is_loopback_or_nothing {
        let [g1, g2] = g.to_be_bytes();
        let [h1, h2] = h.to_be_bytes();
        return Some(Ipv4Addr::new(g1, g2, h1, h2));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "2001:200::1",
        ] {
            assert!(is_public(address(text)), "{text}");
        }
    }

    #[test]
    fn metadata_services_stay_refused_on_private_networks() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
        ] {
            assert!(is_never_callable(address(text)), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(!is_never_callable(address(text)), "{text}");
        }
    }

    #[test]
    fn a_destination_has_its_scheme_s_port_and_no_brackets() {
        let of = |text: &str| Destination::of(&text.parse().expect("an address"));
        let https = of("https://api.openai.com/v1").expect("https");
        assert_eq!((https.host.as_str(), https.port), ("api.openai.com", 443));
        let v6 = of("http://[::1]:8080/").expect("http");
        assert_eq!((v6.host.as_str(), v6.port, v6.is_tls), ("::1", 8080, false));
        assert!(of("ftp://example.com/").is_err());
        assert!(of("/path").is_err());
    }
}
