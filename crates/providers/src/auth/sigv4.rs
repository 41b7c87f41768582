//! AWS Signature Version 4, for requests whose headers and body are final.
//!
//! Written out here rather than taken from the crate `aws-sigv4`, which would bring
//! tokio and a dozen crates of the AWS SDK into a crate that performs no I/O.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use crate::target::HttpRequest;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// What a URI may hold unescaped (RFC 3986, section 2.3).
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same within a path.
const RESERVED_IN_PATH: AsciiSet = RESERVED.remove(b'/');

/// Who signs.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a str,
    /// For temporary keys.
    pub(super) session_token: Option<&'a str>,
}

/// What is signed for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Such as `us-east-1`.
    pub(super) region: &'a str,
    /// Such as `bedrock`.
    pub(super) service: &'a str,
}

/// Signs a request: adds `X-Amz-Date`, the session token and `Authorization`, marked
/// sensitive. Nothing of the request may change after that, and a later attempt must be
/// signed anew. Signing twice replaces the first signature.
pub(super) fn sign(request: &mut HttpRequest, keys: &Keys<'_>, scope: Scope<'_>, now: Timestamp) {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    request.headers.remove(header::AUTHORIZATION);
    insert(&mut request.headers, DATE, &time, false);
    match keys.session_token {
        Some(token) => insert(&mut request.headers, SESSION_TOKEN, token, true),
        None => {
            request.headers.remove(SESSION_TOKEN);
        }
    }
    let (canonical, signed_headers) = canonical_request(request);
    let Scope { region, service } = scope;
    let date = &time[..8];
    let credential_scope = format!("{date}/{region}/{service}/aws4_request");
    let digest = hexadecimal(&Sha256::digest(canonical.as_bytes()));
    let text = format!("{ALGORITHM}\n{time}\n{credential_scope}\n{digest}");
    let mut key = format!("AWS4{}", keys.secret_access_key).into_bytes();
    for part in [date, region, service, "aws4_request"] {
        key = authenticate(&key, part);
    }
    let signature = hexadecimal(&authenticate(&key, &text));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{credential_scope}, SignedHeaders={signed_headers}, \
         Signature={signature}",
        keys.access_key_id
    );
    insert(
        &mut request.headers,
        header::AUTHORIZATION,
        &authorization,
        true,
    );
}

/// The request in the one form that both sides sign, and the names of its headers.
fn canonical_request(request: &HttpRequest) -> (String, String) {
    let mut headers: Vec<(&str, String)> = Vec::with_capacity(request.headers.len() + 1);
    let host = request
        .uri
        .authority()
        .map_or("", |authority| authority.as_str());
    let host = match (request.uri.scheme_str(), request.uri.port_u16()) {
        (Some("https"), Some(443)) | (Some("http"), Some(80)) => {
            request.uri.host().unwrap_or_default()
        }
        _ => host,
    };
    headers.push(("host", host.to_owned()));
    for name in request.headers.keys() {
        let values = request.headers.get_all(name).iter();
        let values: Vec<String> = values.map(|value| trimmed(value.as_bytes())).collect();
        headers.push((name.as_str(), values.join(",")));
    }
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut text = format!(
        "{}\n{}\n{}\n",
        request.method,
        // The path is escaped a second time, as AWS asks for every service but S3.
        utf8_percent_encode(request.uri.path(), &RESERVED_IN_PATH),
        canonical_query(request.uri.query().unwrap_or_default())
    );
    for (name, value) in &headers {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name}:{value}");
    }
    let digest = hexadecimal(&Sha256::digest(&request.body));
    let _ = write!(text, "\n{names}\n{digest}");
    (text, names)
}

/// A header's value without white space around it, and single within it.
fn trimmed(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn canonical_query(query: &str) -> String {
    let escape = |text: &str| {
        let plain = percent_decode_str(text).decode_utf8_lossy();
        utf8_percent_encode(&plain, &RESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // `url` writes a space as `+`; AWS reads that sign as itself.
            (
                escape(&name.replace('+', "%20")),
                escape(&value.replace('+', "%20")),
            )
        })
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn authenticate(key: &[u8], text: &str) -> Vec<u8> {
    // Any length is one that HMAC takes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str, is_secret: bool) {
    // Credentials hold visible ASCII only; see `Credential::parse`.
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(is_secret);
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::Value;

    use super::*;

    fn request(vector: &Value) -> HttpRequest {
        let mut headers = HeaderMap::new();
        for (name, value) in vector["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, value.as_str().unwrap().parse().unwrap());
        }
        HttpRequest {
            method: Method::POST,
            uri: vector["url"].as_str().unwrap().parse().unwrap(),
            headers,
            body: vector["body"].as_str().unwrap().to_owned().into(),
        }
    }

    /// Signs a vector's request; a second time, as a later attempt does.
    fn signed(vector: &Value, times: &[Timestamp]) -> HttpRequest {
        let text = |name: &str| vector[name].as_str().unwrap();
        let mut request = request(vector);
        let keys = Keys {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session_token: vector["session_token"].as_str(),
        };
        let scope = Scope {
            region: text("region"),
            service: text("service"),
        };
        for now in times {
            sign(&mut request, &keys, scope, *now);
        }
        request
    }

    #[test]
    fn signatures_are_those_of_botocore() {
        let vectors = include_str!("../../tests/vectors/aws_sigv4.jsonl");
        for line in vectors.lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let now: Timestamp = vector["time"].as_str().unwrap().parse().unwrap();
            for times in [&[now][..], &[Timestamp::UNIX_EPOCH, now]] {
                let request = signed(&vector, times);
                let header = |name: &str| request.headers[name].to_str().unwrap();
                assert_eq!(header("x-amz-date"), vector["x_amz_date"], "{vector}");
                assert_eq!(header("authorization"), vector["authorization"], "{vector}");
                assert!(request.headers["authorization"].is_sensitive());
            }
        }
        assert_eq!(vectors.lines().count(), 7);
    }
}
