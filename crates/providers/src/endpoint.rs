//! Endpoints: which addresses a configuration may name, and what their origin is.
//!
//! All of this is decided on the parsed address, in lower case and punycode, so that
//! no spelling of a host passes where another one does not. Names are resolved, and
//! their addresses judged by [`is_global`], where sockets are owned.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use url::{Host, Url};

/// Scheme, host and port, lower-case and in punycode, e.g. `https://api.openai.com`;
/// the port is left out where it is the scheme's own. A key is bound to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Origin(String);

impl Origin {
    /// The origin of a parsed address.
    #[must_use]
    pub fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// As `scheme://host[:port]`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What the operator allows beyond public hosts over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointPolicy {
    /// `https` to public hosts only.
    #[default]
    PublicOnly,
    /// Also `http`, and hosts on loopback, private and link-local networks.
    PrivateNetworksAllowed,
}

/// Parses an endpoint.
///
/// # Errors
/// When it is not an absolute `http` or `https` address with a host, or holds user
/// information, a query or a fragment. The text says what is wrong.
pub fn parse(text: &str) -> Result<Url, String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte > b' ' && byte != 0x7f && byte != b'\\');
    if !is_plain {
        return Err("must not hold white space, control characters or backslashes".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is not an address: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("must begin with https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("must not hold a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not hold a query or a fragment".to_owned());
    }
    match url.host() {
        Some(Host::Domain(host)) if host.ends_with('.') => {
            Err("must not end its host with a dot".to_owned())
        }
        Some(_) => Ok(url),
        None => Err("has no host".to_owned()),
    }
}

/// The part between the two slashes and the path, as it was written.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Judges a parsed endpoint by its scheme, port and host as written.
///
/// # Errors
/// When `policy` does not allow it. The text says what is wrong.
pub fn check(url: &Url, policy: EndpointPolicy) -> Result<(), String> {
    let port = url.port_or_known_default().unwrap_or_default();
    if policy == EndpointPolicy::PublicOnly {
        if url.scheme() != "https" {
            return Err(
                "must begin with https://: this installation does not allow private networks \
                 (egress.allow_private_networks)"
                    .to_owned(),
            );
        }
        if is_private_host(url) {
            return Err(
                "must be a public host: this installation does not allow private networks \
                 (egress.allow_private_networks)"
                    .to_owned(),
            );
        }
    }
    let is_plain_http = port == 80 && url.scheme() == "http";
    if port == 443 || is_plain_http {
        return Ok(());
    }
    if port < 1024 || PORTS_OF_OTHER_SERVICES.contains(&port) {
        return Err(format!(
            "must not use port {port}, which belongs to another service"
        ));
    }
    Ok(())
}

/// Ports above 1023 where databases, caches, queues and cluster managers listen.
const PORTS_OF_OTHER_SERVICES: &[u16] = &[
    1080, 1433, 1521, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3128, 3306, 3389, 4190, 4444, 5432,
    5433, 5672, 5900, 5984, 5985, 5986, 6000, 6379, 6380, 6443, 6566, 6665, 6666, 6667, 6668, 6669,
    6697, 7001, 8086, 8200, 8300, 8301, 8500, 8600, 9042, 9092, 9200, 9300, 10080, 10250, 10255,
    11211, 15672, 27017, 27018, 27019,
];

/// Whether the host, as written, is certainly not a public one.
fn is_private_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => !is_global(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_global(IpAddr::V6(address)),
        Some(Host::Domain(host)) => is_private_name(host),
        None => true,
    }
}

fn is_private_name(host: &str) -> bool {
    const PRIVATE_ZONES: &[&str] = &[
        "localhost",
        "localdomain",
        "local",
        "internal",
        "intranet",
        "lan",
        "home",
        "corp",
        "private",
        "home.arpa",
        "invalid",
        "test",
        "onion",
    ];
    let in_zone = |zone: &str| {
        host.strip_suffix(zone)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !host.contains('.') || PRIVATE_ZONES.iter().any(|zone| in_zone(zone))
}

/// Whether an address is global unicast. IPv4 addresses inside IPv6 ones (mapped, 6to4,
/// NAT64, compatible) are judged as the IPv4 address they lead to.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first == 192 && second == 0 && third == 0)
        || (first == 192 && second == 88 && third == 99)
        || (first == 198 && (18..20).contains(&second));
    !is_special
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // 6to4 and NAT64 lead to an IPv4 host. A path through either is no way to a
    // public provider, so that even a public address inside is refused.
    let leads_elsewhere = segments[0] == 0x2002 || segments[..2] == [0x0064, 0xff9b];
    // Only 2000::/3 is global unicast; Teredo, benchmarking, ORCHID and documentation
    // ranges inside it are not for hosts.
    let is_special_use = segments[0] == 0x2001 && segments[1] < 0x0200
        || segments[..2] == [0x2001, 0x0db8]
        || segments[0] == 0x3fff;
    segments[0] & 0xe000 == 0x2000 && !leads_elsewhere && !is_special_use
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, policy: EndpointPolicy) -> Option<String> {
        parse(text).and_then(|url| check(&url, policy)).err()
    }

    #[test]
    fn private_hosts_are_refused_in_every_spelling_unless_allowed() {
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "[::1]",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "0x7f.1",
            "017700000001",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "metadata.google.internal",
            "100.100.100.200",
            "[fd00::1]",
            "[fe80::1]",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "224.0.0.1",
            "[2002:7f00:1::]",
            "vllm",
            "[::]",
            "255.255.255.255",
            "198.18.0.1",
            "①②⑦.0.0.1",
        ] {
            let text = format!("https://{host}/v1");
            assert!(
                problem(&text, EndpointPolicy::PublicOnly).is_some(),
                "{text}"
            );
            let relaxed = problem(&text, EndpointPolicy::PrivateNetworksAllowed);
            assert_eq!(relaxed, None, "{text}");
        }
    }

    #[test]
    fn public_hosts_pass() {
        for text in [
            "https://api.openai.com/v1",
            "https://8.8.8.8",
            "https://[2606:4700::1111]/v1",
            "https://llm.example.com:8443/v1/",
        ] {
            assert_eq!(problem(text, EndpointPolicy::PublicOnly), None, "{text}");
        }
    }

    #[test]
    fn other_schemes_and_malformed_addresses_are_refused_always() {
        for text in [
            "file:///etc/passwd",
            "gopher://example.com",
            "ftp://example.com",
            "unix:/run/x",
            "ws://example.com",
            "data:text/plain,x",
            "javascript:alert(1)",
            "example.com/v1",
            "",
            "https://",
            "https://api.openai.com@evil.example/v1",
            "https://@evil.example/",
            "https://evil.example#@api.openai.com",
            "https://u:p@example.com",
            "https://exa\tmple.com",
            "https://example.com\n",
            " https://example.com",
            "https://api.openai.com./v1",
            "https://example.com/v1?key=1",
            "https:\\\\example.com",
        ] {
            assert!(
                problem(text, EndpointPolicy::PrivateNetworksAllowed).is_some(),
                "{text}"
            );
        }
        assert!(problem("http://example.com", EndpointPolicy::PublicOnly).is_some());
        assert_eq!(
            problem("http://example.com", EndpointPolicy::PrivateNetworksAllowed),
            None
        );
    }

    #[test]
    fn ports_of_other_services_are_refused_always() {
        for port in [22, 25, 80, 5432, 6379] {
            let text = format!("https://example.com:{port}/v1");
            assert!(
                problem(&text, EndpointPolicy::PublicOnly).is_some(),
                "{text}"
            );
            assert!(
                problem(&text, EndpointPolicy::PrivateNetworksAllowed).is_some(),
                "{text}"
            );
        }
    }

    #[test]
    fn an_origin_is_compared_in_its_parsed_form() {
        let origin = |text: &str| Origin::of(&parse(text).unwrap()).as_str().to_owned();
        assert_eq!(
            origin("https://API.OpenAI.com:443/v1/"),
            "https://api.openai.com"
        );
        assert_eq!(
            origin("https://api.openai.com.evil.example"),
            "https://api.openai.com.evil.example"
        );
        assert_eq!(
            origin("https://аpi.openai.com"),
            "https://xn--pi-6kc.openai.com"
        );
        assert_eq!(origin("http://127.1:8080/x"), "http://127.0.0.1:8080");
    }
}
