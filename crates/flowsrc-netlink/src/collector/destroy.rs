//! Closing sockets of others.

use std::io;

use flowcore::socket::Family;
use flowcore::{Error, ErrorKind, Protocol, Result, SocketSample, SocketState};
use netlink_packet_core::NLMSG_ERROR;

use super::messages::{error_code, messages};
use super::{Sockets, remedy};
use crate::request;

/// What the kernel says of requests that it knows and was not built for.
const EOPNOTSUPP: i32 = 95;
/// What it says of a socket that it does not find.
const ENOENT: i32 = 2;

impl Sockets {
    /// Closes a socket for whoever holds it: its owner sees an error, and a TCP peer a reset.
    ///
    /// # Errors
    /// If it is gone, is of a kind that cannot be closed so, or without CAP_NET_ADMIN.
    pub fn destroy(&mut self, socket: &SocketSample) -> Result<()> {
        let name = match (socket.family, socket.inode) {
            (Family::INET | Family::INET6, _) => socket.key().to_string(),
            (_, Some(inode)) => format!("{} of inode {inode}", socket.kind().unwrap_or("socket")),
            (_, None) => socket.kind().unwrap_or("socket").to_owned(),
        };
        if !matches!(socket.family, Family::INET | Family::INET6) || socket.protocol > 0xff {
            let message = format!("{name}: only TCP, UDP and raw sockets can be closed from outside");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let place = self.places.get_mut(usize::from(socket.netns));
        let Some(channel) = place.and_then(|place| place.channel.as_mut()) else {
            return Err(Error::new(ErrorKind::NotFound, format!("{name}: its network namespace is not known")));
        };
        let sequence = channel.next_sequence();
        channel.send(&request::destroy(socket, sequence))?;
        let mut buffer = Vec::new();
        loop {
            let received = channel.receive(&mut buffer).map_err(|error| Error::io(name.clone(), error))?;
            for message in messages(buffer.get(..received.length).unwrap_or(&[])) {
                if message.sequence_number() != sequence || message.message_type() != NLMSG_ERROR {
                    continue;
                }
                return match error_code(message.payload()) {
                    0 => Ok(()),
                    code => {
                        let error = io::Error::from_raw_os_error(-code);
                        let remedy = match -code {
                            EOPNOTSUPP => {
                                " (this kernel cannot close sockets of others: CONFIG_INET_DIAG_DESTROY)".to_owned()
                            }
                            ENOENT if ![Protocol::TCP, Protocol::UDP].contains(&Protocol(socket.protocol as u8)) => {
                                " (it is gone, or this kernel cannot close raw sockets: CONFIG_INET_RAW_DIAG)"
                                    .to_owned()
                            }
                            ENOENT if !socket.state.is_connected() && socket.state != SocketState::LISTEN => {
                                " (it is bound and nothing else: the kernel looks among connections and listeners)"
                                    .to_owned()
                            }
                            _ => remedy(&error),
                        };
                        Err(Error::io(format!("cannot close {name}{remedy}"), error))
                    }
                };
            }
        }
    }
}
