use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

/// Sent by every browser of today with every request, and by no SDK.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names a door answers to.
///
/// A web page can make its own host name point to 127.0.0.1 (DNS rebinding), and the
/// browser then takes the endpoint for that page's server. It cannot make the Host
/// header say something else.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<String>);

/// Why a request is refused before anything of it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    /// The Host header is missing, there twice, or not one of ours.
    #[error("the Host header names another server")]
    Host,
    /// The request comes from a web page.
    #[error("requests of web pages are not answered")]
    Page,
}

impl Hosts {
    /// `localhost`, `127.0.0.1`, `[::1]` and these names or addresses, without ports.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter();
        Self(names.map(|n| n.to_ascii_lowercase()).collect())
    }

    /// Checks the headers of a request that came in on the address `local`. An address
    /// in the Host header needs no name server, so the one it came in on is ours too.
    pub(super) fn check(&self, headers: &HeaderMap, local: Option<IpAddr>) -> Result<(), Foreign> {
        if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
            return Err(Foreign::Page);
        }
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Foreign::Host);
        };
        let host = host.to_str().map_err(|_| Foreign::Host)?;
        let name = without_port(host).ok_or(Foreign::Host)?;
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let known = ["localhost", "127.0.0.1", "[::1]"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
            || self.0.iter().any(|n| n.eq_ignore_ascii_case(bare))
            || local.is_some_and(|local| bare.parse() == Ok(local));
        if known { Ok(()) } else { Err(Foreign::Host) }
    }
}

/// The host of `HOST[:PORT]`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at_checked(end)?;
    let number = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    let sound = port.is_empty() || port.strip_prefix(':').is_some_and(number);
    sound.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let hosts = Hosts::new(["Vault.example.org".to_owned()]);
        hosts.check(&headers, Some("192.0.2.7".parse().unwrap()))
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for host in [
            "localhost",
            "localhost:2774",
            "LOCALHOST:1",
            "127.0.0.1",
            "127.0.0.1:2774",
            "[::1]",
            "[::1]:2774",
            "vault.example.org:443",
            "192.0.2.7:2774",
            "localhost:",
        ] {
            assert_eq!(verdict(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "127.0.0.2",
            "localhost@evil.example",
            "localhost:80@evil",
            "[::1",
            "[::1]x",
            "[localhost",
            "::1",
            "192.0.2.8",
            "127.1",
            "2130706433",
        ] {
            assert_eq!(verdict(&[("host", host)]), Err(Foreign::Host), "{host:?}");
        }
        assert_eq!(verdict(&[]), Err(Foreign::Host));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(verdict(&twice), Err(Foreign::Host));
    }

    #[test]
    fn a_browser_is_not_answered() {
        for name in ["origin", "sec-fetch-site"] {
            for value in ["http://localhost", "null", "same-origin", "none"] {
                let headers = [("host", "localhost"), (name, value)];
                assert_eq!(verdict(&headers), Err(Foreign::Page), "{name}: {value}");
            }
        }
    }
}
