//! Where a lock's server is: what a URL says, as libpq reads it. Pure; the password is in here and nowhere
//! else, and nothing prints it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The URL without its password.
    pub(crate) shown: String,
    /// In the order in which they are tried.
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) password: Option<Secret>,
    pub(crate) database: String,
    /// The name space that the locks are in.
    pub(crate) root: String,
    pub(crate) tls: Tls,
    /// Trusted certificates in PEM form; the system's own if there is none.
    pub(crate) root_cert: Option<PathBuf>,
    pub(crate) application: String,
    pub(crate) connect_timeout: Duration,
    /// The user says that what is in between keeps a session together.
    pub(crate) session_pooler: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Tcp(String, u16),
    /// The socket file.
    Unix(PathBuf),
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

const PORT: u16 = 5432;

const PARAMETERS: &str = "root, host, port, user, password, dbname, sslmode, sslrootcert, \
                          application_name, connect_timeout, pooler";

impl Target {
    /// Reads a URL, or says what is expected. No message repeats what could be a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let shown = redact(url);
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or("the URL must begin with postgres:// or postgresql://")?;
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
        let mut user = some(decode(user, "user")?);
        let mut password = password.map(|it| decode(it, "password")).transpose()?;
        let mut database = some(decode(path, "database")?);
        let mut hosts: Vec<(String, Option<u16>)> = hosts
            .split(',')
            .filter(|host| !host.is_empty())
            .map(host_and_port)
            .collect::<Result<_, _>>()?;
        let (mut root, mut tls, mut root_cert, mut ports) = (None, None, None, None);
        let mut application = None;
        let mut connect_timeout = Duration::from_secs(10);
        let mut session_pooler = false;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("a parameter of the URL has no '='")?;
            let value = decode(value, name)?;
            match name {
                "root" => root = Some(value),
                "user" => user = some(value),
                "password" => password = Some(value),
                "dbname" => database = some(value),
                "host" => hosts = value.split(',').map(|host| (host.to_owned(), None)).collect(),
                "port" => ports = Some(port(&value)?),
                "sslmode" => tls = Some(Tls::parse(&value)?),
                "sslrootcert" => root_cert = some(value).filter(|it| it != "system"),
                "application_name" => application = some(value),
                "connect_timeout" => {
                    let seconds = value.parse().ok().filter(|&seconds: &u64| seconds > 0);
                    let seconds =
                        seconds.ok_or("connect_timeout must be whole seconds, at least 1")?;
                    connect_timeout = Duration::from_secs(seconds.min(3600));
                }
                "pooler" if value == "session" => session_pooler = true,
                "pooler" => return Err("pooler must be `session`, or be left out".into()),
                _ => {
                    return Err(format!(
                        "the URL has an unknown parameter, {name:?}; known are: {PARAMETERS}"
                    ));
                }
            }
        }
        let user = user
            .or_else(|| {
                ["PGUSER", "USER", "LOGNAME", "USERNAME"]
                    .iter()
                    .find_map(|it| std::env::var(it).ok())
            })
            .ok_or("the URL names no user: postgres://user@host/database")?;
        let database = database.unwrap_or_else(|| user.clone());
        let root = root.unwrap_or_else(|| "default".into());
        if root.is_empty() || root.len() > 200 {
            return Err("root must be a name of 1 to 200 bytes".into());
        }
        for (what, text) in [("user", &user), ("database", &database), ("root", &root)] {
            if text.contains('\0') {
                return Err(format!("the {what} has a zero byte"));
            }
        }
        if hosts.is_empty() {
            let folder = "/var/run/postgresql";
            let local = cfg!(unix) && std::path::Path::new(folder).is_dir();
            hosts.push((if local { folder } else { "localhost" }.into(), None));
        }
        let hosts: Vec<Host> = hosts
            .into_iter()
            .map(|(host, own)| {
                let port = own.or(ports).unwrap_or(PORT);
                if host.starts_with('/') {
                    Host::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
                } else {
                    Host::Tcp(host, port)
                }
            })
            .collect();
        let nearby = hosts.iter().all(Host::is_nearby);
        // As libpq does: whoever names a certificate wants it checked.
        let tls = match tls {
            None if nearby => Tls::Prefer,
            None => Tls::VerifyFull,
            Some(Tls::Require) if root_cert.is_some() => Tls::VerifyCa,
            Some(tls) => tls,
        };
        Ok(Self {
            shown,
            hosts,
            user,
            password: password.map(Secret),
            database,
            root,
            tls,
            root_cert: root_cert.map(PathBuf::from),
            application: application.unwrap_or_else(|| "rootlock".into()),
            connect_timeout,
            session_pooler,
        })
    }

    /// Whether both are the same locks, reached in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let unnamed = |it: &Self| Self { shown: String::new(), ..it.clone() };
        unnamed(self) == unnamed(other)
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

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn decode(text: &str, what: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(format!("the URL's {what} is not percent-encoded UTF-8 text")),
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    // [::1]:5432
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let number = rest.strip_prefix(':').map(port).transpose()?;
        return Ok((address.to_owned(), number));
    }
    match text.split_once(':') {
        Some((host, number)) => Ok((decode(host, "host")?, Some(port(number)?))),
        None => Ok((decode(text, "host")?, None)),
    }
}

fn port(text: &str) -> Result<u16, String> {
    // What stands there may be a part of a password.
    let number = text.parse().ok().filter(|&port| port != 0);
    number.ok_or_else(|| "the URL's port must be a number from 1 to 65535".to_owned())
}

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
    let kept: Vec<_> = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            // The server would not, but percent-encoded it is the same name to others.
            !percent_decode_str(name).decode_utf8_lossy().eq_ignore_ascii_case("password")
        })
        .collect();
    if !kept.is_empty() {
        shown.push('?');
        shown.push_str(&kept.join("&"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Target {
        Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        let target =
            parsed("postgres://app:p%40ss@db.example:6432/shop?root=store&sslmode=require");
        assert_eq!(target.hosts, [Host::Tcp("db.example".into(), 6432)]);
        assert_eq!((target.user.as_str(), target.database.as_str()), ("app", "shop"));
        assert_eq!(target.password, Some(Secret("p@ss".into())));
        assert_eq!((target.root.as_str(), target.tls), ("store", Tls::Require));
        assert_eq!(parsed("postgresql://app@h").database, "app");
        let socket = parsed("postgres://app@/shop?host=/run/pg&port=5433");
        assert_eq!(socket.hosts, [Host::Unix("/run/pg/.s.PGSQL.5433".into())]);
        assert_eq!(parsed("postgres://app@%2Frun%2Fpg/shop").hosts.len(), 1);
        let both = parsed("postgres://app@[::1]:1,b:2/shop");
        assert_eq!(both.hosts, [Host::Tcp("::1".into(), 1), Host::Tcp("b".into(), 2)]);
    }

    #[test]
    fn a_far_host_is_verified_unless_the_url_says_otherwise() {
        assert_eq!(parsed("postgres://a@db/x").tls, Tls::VerifyFull);
        assert_eq!(parsed("postgres://a@127.0.0.1,db/x").tls, Tls::VerifyFull);
        assert_eq!(parsed("postgres://a@[::1]/x").tls, Tls::Prefer);
        assert_eq!(parsed("postgres://a@/x?host=/run").tls, Tls::Prefer);
        assert_eq!(
            parsed("postgres://a@db/x?sslmode=require&sslrootcert=r.pem").tls,
            Tls::VerifyCa
        );
        assert_eq!(parsed("postgres://a@db/x?sslmode=disable").tls, Tls::Disable);
    }

    #[test]
    fn nobody_gets_to_see_a_password() {
        for url in [
            "postgres://app:s3cret@db/x?root=r",
            "postgres://app:s3cret@more@db/x",
            "postgres://app:s3/cret@db/x",
            "postgres://app@db/x?password=s3cret",
            "postgres://app@db/x?root=r&p%61ssword=s3cret",
            "postgres://app:s3cret@db:port/x",
            "postgres://app:s3cret@db/x?nonsense=1",
            "mysql://app:s3cret@db/x",
        ] {
            let said = match Target::parse(url) {
                Ok(target) => format!("{target:?}"),
                Err(error) => error,
            };
            let shown = redact(url);
            assert!(!said.contains("s3") && !shown.contains("s3"), "{url}: {said} {shown}");
        }
        assert_eq!(redact("postgres://a:b@h/x?password=c&root=r"), "postgres://a@h/x?root=r");
        assert_eq!(redact("postgres://a@h/x?password=c"), "postgres://a@h/x");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_expected() {
        for (url, wanted) in [
            ("http://h", "postgres://"),
            ("postgres://a@h:0/x", "1 to 65535"),
            ("postgres://a@h/x?sslmode=yes", "verify-full"),
            ("postgres://a@h/x?rot=store", "known are: root"),
            ("postgres://a@h/x?root=", "1 to 200"),
            ("postgres://a@h/%ff", "percent-encoded"),
            ("postgres://a@h/x?connect_timeout=0", "at least 1"),
            ("postgres://a@h/x#root", "%23"),
        ] {
            let error = Target::parse(url).expect_err(url);
            assert!(error.contains(wanted), "{url}: {error}");
        }
    }
}
