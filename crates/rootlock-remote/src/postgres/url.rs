//! What a PostgreSQL server's URL says, as libpq reads it. Pure.

use std::path::PathBuf;

use crate::url::{Host, Link, LinkParameters, Parts, Secret, decode, port, redact, some};

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
    pub(crate) link: Link,
    pub(crate) application: String,
    /// The user says that what is in between keeps a session together.
    pub(crate) session_pooler: bool,
    /// Each beat is a commit that a synchronous standby confirms.
    pub(crate) replicated: bool,
}

const PORT: u16 = 5432;

const PARAMETERS: &str = "root, host, port, user, password, dbname, application_name, pooler, sync";

impl Target {
    /// Reads a URL, or says what is expected. No message repeats what could be a password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let shown = redact(url);
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or("the URL must begin with postgres:// or postgresql://")?;
        let parts = Parts::of(rest)?;
        let mut user = some(decode(parts.user, "user")?);
        let mut password = parts.password.map(|it| decode(it, "password")).transpose()?;
        let mut database = some(decode(parts.path, "database")?);
        let mut hosts = parts.hosts()?;
        let (mut root, mut ports) = (None, None);
        let mut link = LinkParameters::default();
        let mut application = None;
        let (mut session_pooler, mut replicated) = (false, false);
        for parameter in parts.parameters() {
            let (name, value) = parameter?;
            if link.take(name, &value)? {
                continue;
            }
            match name {
                "root" => root = Some(value),
                "user" => user = some(value),
                "password" => password = Some(value),
                "dbname" => database = some(value),
                "host" => hosts = value.split(',').map(|host| (host.to_owned(), None)).collect(),
                "port" => ports = Some(port(&value)?),
                "application_name" => application = some(value),
                "pooler" if value == "session" => session_pooler = true,
                "pooler" => return Err("pooler must be `session`, or be left out".into()),
                "sync" if value == "1" => replicated = true,
                "sync" => return Err("sync must be 1, or be left out".into()),
                _ => return Err(LinkParameters::unknown(name, PARAMETERS)),
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
        let link = link.link(&hosts)?;
        Ok(Self {
            shown,
            hosts,
            user,
            password: password.map(Secret),
            database,
            root,
            link,
            application: application.unwrap_or_else(|| "rootlock".into()),
            session_pooler,
            replicated,
        })
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
    use crate::url::Tls;

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
        assert_eq!((target.root.as_str(), target.link.tls), ("store", Tls::Require));
        assert_eq!(parsed("postgresql://app@h").database, "app");
        let socket = parsed("postgres://app@/shop?host=/run/pg&port=5433");
        assert_eq!(socket.hosts, [Host::Unix("/run/pg/.s.PGSQL.5433".into())]);
        assert_eq!(parsed("postgres://app@%2Frun%2Fpg/shop").hosts.len(), 1);
        let both = parsed("postgres://app@[::1]:1,b:2/shop");
        assert_eq!(both.hosts, [Host::Tcp("::1".into(), 1), Host::Tcp("b".into(), 2)]);
    }

    #[test]
    fn a_far_host_is_verified_unless_the_url_says_otherwise() {
        assert_eq!(parsed("postgres://a@db/x").link.tls, Tls::VerifyFull);
        assert_eq!(parsed("postgres://a@127.0.0.1,db/x").link.tls, Tls::VerifyFull);
        assert_eq!(parsed("postgres://a@[::1]/x").link.tls, Tls::Prefer);
        assert_eq!(parsed("postgres://a@/x?host=/run").link.tls, Tls::Prefer);
        assert_eq!(
            parsed("postgres://a@db/x?sslmode=require&sslrootcert=r.pem").link.tls,
            Tls::VerifyCa
        );
        assert_eq!(parsed("postgres://a@db/x?sslmode=disable").link.tls, Tls::Disable);
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
            "postgres://app@db/x?passwrod=s3cret",
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
            ("postgres://a@h/x?sync=on", "must be 1"),
            ("postgres://a@h/x#root", "%23"),
        ] {
            let error = Target::parse(url).expect_err(url);
            assert!(error.contains(wanted), "{url}: {error}");
        }
    }
}
