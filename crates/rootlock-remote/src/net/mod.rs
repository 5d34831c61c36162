//! A connection to a server's host: TCP or a Unix socket, encrypted if the URL says so.

mod tls;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::fault::Fault;
use crate::url::{Host, Link, Tls};

/// The step that errors of a connection name.
pub(crate) const CONNECT: &str = "connect";

/// What asks a server to encrypt (`SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// An open connection.
pub(crate) struct Socket(Box<dyn Stream>);

impl Host {
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp(host, port) => format!("{host}:{port}"),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

impl Socket {
    /// Connects, and asks a PostgreSQL server to encrypt. Takes as long as the URL's `connect_timeout` at most.
    pub(crate) async fn open(link: &Link, host: &Host) -> Result<Self, Fault> {
        Self::in_time(link, host, Self::open_in_any_time(link, host)).await
    }

    /// Connects, encrypted from the first byte if the URL says so, for HTTP/2.
    pub(crate) async fn open_with_tls(link: &Link, host: &Host) -> Result<Self, Fault> {
        let opening = async {
            let Host::Tcp(name, port) = host else {
                let words = "only members with a host and a port can be reached";
                return Err(Fault::new(CONNECT, io::ErrorKind::InvalidInput, words));
            };
            let fault = |error: io::Error| Fault::io(CONNECT, &host.shown(), &error);
            let stream = TcpStream::connect((name.as_str(), *port)).await.map_err(fault)?;
            stream.set_nodelay(true).map_err(fault)?;
            if link.tls == Tls::Disable {
                return Ok(Self(Box::new(stream)));
            }
            let stream = tls::wrap(link, name, stream, &[b"h2"]).await?;
            Ok(Self(Box::new(stream)))
        };
        Self::in_time(link, host, opening).await
    }

    async fn in_time(
        link: &Link,
        host: &Host,
        opening: impl Future<Output = Result<Self, Fault>>,
    ) -> Result<Self, Fault> {
        match tokio::time::timeout(link.connect_timeout, opening).await {
            Ok(socket) => socket,
            Err(_) => Err(Fault::away(
                CONNECT,
                io::ErrorKind::TimedOut,
                format!("{} has not answered in {:?}", host.shown(), link.connect_timeout),
            )),
        }
    }

    async fn open_in_any_time(link: &Link, host: &Host) -> Result<Self, Fault> {
        let fault = |error: io::Error| Fault::io(CONNECT, &host.shown(), &error);
        match host {
            #[cfg(unix)]
            Host::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(fault)?;
                Ok(Self(Box::new(stream)))
            }
            #[cfg(not(unix))]
            Host::Unix(_) => Err(fault(io::ErrorKind::Unsupported.into())),
            Host::Tcp(name, port) => {
                let mut stream = TcpStream::connect((name.as_str(), *port)).await.map_err(fault)?;
                stream.set_nodelay(true).map_err(fault)?;
                if link.tls == Tls::Disable {
                    return Ok(Self(Box::new(stream)));
                }
                stream.write_all(&SSL_REQUEST).await.map_err(fault)?;
                // One byte and no more: what follows before encryption would be somebody else's.
                match stream.read_u8().await.map_err(fault)? {
                    b'S' => {
                        let stream = tls::wrap(link, name, stream, &[]).await?;
                        Ok(Self(Box::new(stream)))
                    }
                    b'N' if link.tls == Tls::Prefer => Ok(Self(Box::new(stream))),
                    b'N' => Err(Fault::new(
                        CONNECT,
                        io::ErrorKind::Unsupported,
                        format!(
                            "{} has no TLS: turn it on there (ssl = on), or say sslmode=disable in the URL if \
                             nobody can be in between",
                            host.shown()
                        ),
                    )),
                    _ => Err(Fault::new(
                        CONNECT,
                        io::ErrorKind::InvalidData,
                        format!("{} is no PostgreSQL server", host.shown()),
                    )),
                }
            }
        }
    }

    /// Sends something that is answered by the end of the connection, and waits for that.
    pub(crate) async fn send_and_see_off(mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await?;
        let mut rest = [0; 64];
        // A reset is an end as well.
        while self.read(&mut rest).await.is_ok_and(|read| read > 0) {}
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
