//! What the URLs of all engines have in common. Pure; passwords are in here and in the engines' targets, and nothing
//! prints them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Tcp(String, u16),
    /// The socket file.
    Unix(PathBuf),
}

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    pub(crate) tls: Tls,
    /// Trusted certificates in PEM form; the system's own if there is none.
    pub(crate) root_cert: Option<PathBuf>,
    /// This client's own certificate, and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) connect_timeout: Duration,
}

/// The parameters of a URL that say how its hosts are reached.
#[derive(Default)]
pub(crate) struct LinkParameters {
    tls: Option<Tls>,
    root_cert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    connect_timeout: Option<Duration>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tls {
    Disable,
    /// Encrypted if the server can.
    Prefer,
    /// Encrypted, with whomever it is.
    Require,
    /// Signed by somebody trusted.
    VerifyCa,
    /// And it is that host.
    VerifyFull,
}

/// A password, which nobody gets to see.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl LinkParameters {
    const NAMES: &str = "sslmode, sslrootcert, sslcert, sslkey, connect_timeout";

    /// Takes a parameter that is one of these; whether it is.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let path = || Some(value).filter(|it| !it.is_empty()).map(PathBuf::from);
        match name {
            "sslmode" => self.tls = Some(Tls::parse(value)?),
            "sslrootcert" => self.root_cert = path().filter(|it| it != Path::new("system")),
            "sslcert" => self.cert = path(),
            "sslkey" => self.key = path(),
            "connect_timeout" => {
                let seconds = value.parse().ok().filter(|&seconds: &u64| seconds > 0);
                let seconds = seconds.ok_or("connect_timeout must be whole seconds, at least 1")?;
                self.connect_timeout = Some(Duration::from_secs(seconds.min(3600)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What to say of a parameter that is neither one of these nor one of the engine's own.
    pub(crate) fn unknown(name: &str, own: &str) -> String {
        let names = Self::NAMES;
        format!("the URL has an unknown parameter, {name:?}; known are: {own}, {names}")
    }

    /// What they come to for these hosts.
    pub(crate) fn link(self, hosts: &[Host]) -> Result<Link, String> {
        let nearby = hosts.iter().all(Host::is_nearby);
        // As libpq does: whoever names a certificate wants it checked.
        let tls = match self.tls {
            None if nearby && self.root_cert.is_none() => Tls::Prefer,
            None => Tls::VerifyFull,
            Some(Tls::Require) if self.root_cert.is_some() => Tls::VerifyCa,
            Some(tls) => tls,
        };
        let identity = match (self.cert, self.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert, key)),
            _ => return Err("sslcert and sslkey belong together: the URL has only one".into()),
        };
        let connect_timeout = self.connect_timeout.unwrap_or(Duration::from_secs(10));
        Ok(Link { tls, root_cert: self.root_cert, identity, connect_timeout })
    }
}

impl Host {
    /// Whether nobody can be in between.
    fn is_nearby(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(host, _) => {
                host == "localhost"
                    || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
            }
        }
    }
}

impl Tls {
    fn parse(mode: &str) -> Result<Self, String> {
        Ok(match mode {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(
                    "sslmode must be disable, prefer, require, verify-ca or verify-full".into()
                );
            }
        })
    }
}

pub(crate) fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(crate) fn decode(text: &str, what: &str) -> Result<String, String> {
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let encoded = text.split('%').skip(1).all(is_escape);
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if encoded && !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(format!("the URL's {what} is not percent-encoded UTF-8 text")),
    }
}

pub(crate) fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    // [::1]:5432
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let number = match rest.strip_prefix(':') {
            Some(number) => Some(port(number)?),
            None if rest.is_empty() => None,
            None => return Err("between ']' and the URL's port there must be a ':'".into()),
        };
        return Ok((address.to_owned(), number));
    }
    match text.split_once(':') {
        Some((host, number)) => Ok((decode(host, "host")?, Some(port(number)?))),
        None => Ok((decode(text, "host")?, None)),
    }
}

pub(crate) fn port(text: &str) -> Result<u16, String> {
    // What stands there may be a part of a password.
    let number = text.parse().ok().filter(|&port| port != 0);
    number.ok_or_else(|| "the URL's port must be a number from 1 to 65535".to_owned())
}

/// The parameters that may be shown.
const SHOWN: [&str; 13] = [
    "root",
    "host",
    "port",
    "user",
    "dbname",
    "application_name",
    "pooler",
    "sync",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
];

/// A URL without its password.
pub(crate) fn redact(url: &str) -> String {
    let (rest, query) = match url.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (url, None),
    };
    let mut shown = match rest.split_once("://") {
        Some((scheme, rest)) => {
            // Everything before the last @ could belong to a password that was not encoded.
            match rest.rsplit_once('@') {
                Some((user_info, host)) => {
                    let user = user_info.split(':').next().unwrap_or_default();
                    format!("{scheme}://{user}@{host}")
                }
                None => format!("{scheme}://{rest}"),
            }
        }
        None => rest.to_owned(),
    };
    // What is not known may be a password whose name is mistyped.
    let kept: Vec<_> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| SHOWN.contains(&pair.split('=').next().unwrap_or_default()))
        .collect();
    if !kept.is_empty() {
        shown.push('?');
        shown.push_str(&kept.join("&"));
    }
    shown
}

/// The parts of a URL behind its scheme, still encoded.
pub(crate) struct Parts<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: Option<&'a str>,
    pub(crate) hosts: &'a str,
    pub(crate) path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a URL apart. No message repeats what could be a password.
    pub(crate) fn of(rest: &'a str) -> Result<Self, String> {
        if rest.contains('#') {
            return Err("the URL has a '#': write it as %23".into());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (user_info, hosts),
            None => ("", authority),
        };
        let (user, password) = match user_info.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (user_info, None),
        };
        Ok(Self { user, password, hosts, path, query })
    }

    /// The hosts, with their ports if they have any.
    pub(crate) fn hosts(&self) -> Result<Vec<(String, Option<u16>)>, String> {
        self.hosts.split(',').filter(|host| !host.is_empty()).map(host_and_port).collect()
    }

    /// The parameters, decoded.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = Result<(&'a str, String), String>> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("a parameter of the URL has no '='")?;
            // Somebody has appended parameters to a URL that had some.
            if value.split_once('?').is_some_and(|(_, more)| more.contains('=')) {
                return Err("the URL has a second '?': its parameters are joined by '&'".into());
            }
            Ok((name, decode(value, name)?))
        })
    }
}
