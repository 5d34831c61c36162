//! What an etcd cluster's URL says: `etcd://user@a:2379,b:2379/prefix`. Pure.

use crate::url::{Host, Link, LinkParameters, Parts, Secret, Tls, decode, redact, some};

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// The URL without its password.
    pub(crate) shown: String,
    /// The members of one cluster.
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// What all keys begin with, without a slash at the end.
    pub(crate) prefix: String,
    pub(crate) link: Link,
}

pub(crate) const SCHEME: &str = "etcd://";

const PORT: u16 = 2379;

impl Target {
    /// Reads a URL, or says what is expected. No message repeats what could be a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix(SCHEME).ok_or("the URL must begin with etcd://")?;
        let parts = Parts::of(rest)?;
        let user = some(decode(parts.user, "user")?);
        let mut password = parts.password.map(|it| decode(it, "password")).transpose()?;
        let mut link = LinkParameters::default();
        for parameter in parts.parameters() {
            let (name, value) = parameter?;
            if link.take(name, &value)? {
                continue;
            }
            match name {
                "password" => password = Some(value),
                _ => return Err(LinkParameters::unknown(name, "password")),
            }
        }
        if user.is_none() && password.is_some() {
            return Err("the URL has a password but names no user: etcd://user@host/prefix".into());
        }
        let mut hosts = parts.hosts()?;
        if hosts.is_empty() {
            hosts.push(("localhost".into(), None));
        }
        let hosts: Vec<Host> =
            hosts.into_iter().map(|(host, port)| Host::Tcp(host, port.unwrap_or(PORT))).collect();
        let mut link = link.link(&hosts)?;
        // Nobody can ask whether a member encrypts. Whoever has a certificate wants it used.
        if link.tls == Tls::Prefer {
            link.tls = if link.identity.is_some() { Tls::VerifyFull } else { Tls::Disable };
        }
        let prefix = decode(parts.path.trim_end_matches('/'), "prefix")?;
        let prefix = some(prefix).unwrap_or_else(|| "rootlock".into());
        if prefix.len() > 200 {
            return Err("the prefix must be 1 to 200 bytes".into());
        }
        if prefix.split('/').skip(1).any(|part| part == "lock") {
            let why = "the keys of locks are there, of the root whose prefix ends before it";
            return Err(format!("only the first part of the prefix may be `lock`: {why}"));
        }
        let password = password.map(Secret);
        Ok(Self { shown: redact(url), hosts, user, password, prefix, link })
    }

    /// Whether both are the same locks, reached in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let unnamed = |it: &Self| Self { shown: String::new(), ..it.clone() };
        unnamed(self) == unnamed(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Target {
        Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn a_url_names_members_a_prefix_and_perhaps_a_user() {
        let target = parsed("etcd://app:p%40ss@a:1,b,[::1]:3/team/store/?sslmode=disable");
        let tcp = |host: &str, port| Host::Tcp(host.into(), port);
        assert_eq!(target.hosts, [tcp("a", 1), tcp("b", 2379), tcp("::1", 3)]);
        assert_eq!(target.prefix, "team/store");
        assert_eq!((target.user.as_deref(), target.link.tls), (Some("app"), Tls::Disable));
        assert!(!format!("{target:?}").contains("ss@"));
        assert_eq!(parsed("etcd://").prefix, "rootlock");
        assert_eq!(parsed("etcd://localhost/x").link.tls, Tls::Disable);
        assert_eq!(parsed("etcd://a/x").link.tls, Tls::VerifyFull);
        assert_eq!(parsed("etcd://localhost/x?sslrootcert=r.pem").link.tls, Tls::VerifyFull);
        assert_eq!(parsed("etcd://localhost/x?sslcert=c&sslkey=k").link.tls, Tls::VerifyFull);
        assert_eq!(parsed("etcd://localhost/lock/locks").prefix, "lock/locks");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_expected() {
        for (url, wanted) in [
            ("http://a", "etcd://"),
            ("etcd://:s3cret@a/x", "names no user"),
            ("etcd://a:x/x", "1 to 65535"),
            ("etcd://a/x?root=y", "known are: password"),
            ("etcd://a/x?sslcert=c.pem", "belong together"),
            ("etcd://[::1]2380/x", "':'"),
            ("etcd://a:s3cret%ZZ@b/x", "percent-encoded"),
            ("etcd://a:s3cret%4@b/x", "percent-encoded"),
            ("etcd://a/team/lock/store", "first part"),
            ("etcd://a/team/lock", "first part"),
            (&format!("etcd://a/{}", "x".repeat(201)), "200 bytes"),
        ] {
            let error = Target::parse(url).expect_err(url);
            assert!(error.contains(wanted) && !error.contains("s3cret"), "{url}: {error}");
        }
    }
}
