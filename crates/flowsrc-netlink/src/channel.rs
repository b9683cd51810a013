//! One netlink socket: requests out, datagrams in.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use flowcore::{Error, Result};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;

/// The kernel fills at most 32 KiB of a dump's datagram; a longer one makes the buffer grow.
const BUFFER_BYTES: usize = 32 * 1024;

/// What the kernel may hold back of notices while nobody reads them. A notice is about 1.3 KB of it.
const NOTICE_BYTES: usize = 64 * 1024 * 1024;

/// The kernel writes its answer while it is asked: what has not come by then does not come.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Returns the datagram's own length, also where the buffer is shorter.
const MSG_TRUNC: i32 = 0x20;
const MSG_DONTWAIT: i32 = 0x40;

/// A connection to the kernel's `sock_diag` in the network namespace in which it was opened, wherever it is used later.
pub(crate) struct Channel {
    socket: Socket,
    sequence: u32,
}

/// What was received: where the datagram ends, and whether its end was cut off.
pub(crate) struct Received {
    pub length: usize,
    pub cut: bool,
}

impl Channel {
    /// Opens one.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WITHIN))?;
        // Nobody but the kernel can then send to it.
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Joins the kernel's groups of notices, with room for many where it is permitted.
    pub fn listen(groups: &[u32]) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, NOTICE_BYTES).is_err() {
            // The kernel takes what it permits.
            let _ = sockopt::set_socket_recv_buffer_size(&socket, NOTICE_BYTES);
        }
        for &group in groups {
            socket.add_membership(group)?;
        }
        Ok(Self { socket, sequence: 0 })
    }

    /// The number for the next request; its answers carry it.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// Of the latest request.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Sends a request.
    pub fn send(&self, request: &[u8]) -> Result<()> {
        loop {
            match self.socket.send(request, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("sock_diag: cannot ask the kernel", error)),
            }
        }
    }

    /// Waits for a datagram; `WouldBlock` if none comes.
    pub fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        self.receive_with(buffer, 0)
    }

    /// A datagram if there is one; otherwise `WouldBlock`.
    pub fn receive_now(&self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        self.receive_with(buffer, MSG_DONTWAIT)
    }

    fn receive_with(&self, buffer: &mut Vec<u8>, flags: i32) -> io::Result<Received> {
        if buffer.len() < BUFFER_BYTES {
            buffer.resize(BUFFER_BYTES, 0);
        }
        loop {
            match self.socket.recv(&mut &mut buffer[..], flags | MSG_TRUNC) {
                Ok(length) if length > buffer.len() => {
                    let cut = Received { length: buffer.len(), cut: true };
                    // For the next.
                    buffer.resize(length.next_power_of_two(), 0);
                    return Ok(cut);
                }
                Ok(length) => return Ok(Received { length, cut: false }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
