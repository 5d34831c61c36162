//! `cancel`: ends a wait at the server.

use std::io;

use super::url::Target;
use crate::fault::Fault;
use crate::net::Socket;
use crate::url::Host;

/// A `CancelRequest`: its length, its code, the process id of the server's, and a secret.
pub(crate) struct CancelKey(pub(super) [u8; 16]);

impl CancelKey {
    /// The process that serves the session, as it was said when the connection was made.
    pub(super) fn pid(&self) -> i32 {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = self.0;
        i32::from_be_bytes([a, b, c, d])
    }

    /// Sends the request on a connection of its own. It is over when the server has closed that: nothing may
    /// be sent in the session before, or the request would end it.
    pub(super) async fn send(&self, target: &Target, host: &Host) -> Result<(), Fault> {
        let socket = Socket::open(&target.link, host).await?;
        let fault = |error: io::Error| Fault::io("cancel", &host.shown(), &error);
        socket.send_and_see_off(&self.0).await.map_err(fault)
    }
}
