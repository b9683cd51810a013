//! The limit for programs that list TCP sockets: asks the kernel for all of them with what `flow sockets -ti` shows of each,
//! reads the answer into one buffer and counts messages. Prints `sockets=N`.

use std::io::{self, Write};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

/// Asks as `flow sockets -ti` does: `tcp_info`, the congestion control's name, what is shut down; states with a peer.
fn request(family: u8) -> Vec<u8> {
    const EXTENSIONS: u8 = 1 << 1 | 1 << 3 | 1 << 7;
    const LISTEN: u32 = 1 << 10;
    const CLOSE: u32 = 1 << 7;
    let mut request = Vec::with_capacity(72);
    request.extend_from_slice(&72u32.to_ne_bytes());
    // SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP.
    for half in [20u16, 0x301] {
        request.extend_from_slice(&half.to_ne_bytes());
    }
    request.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
    request.extend_from_slice(&[family, 6, EXTENSIONS, 0]);
    request.extend_from_slice(&(0xfff & !LISTEN & !CLOSE).to_ne_bytes());
    request.resize(72, 0);
    request
}

fn main() -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut buffer = vec![0u8; 64 * 1024];
    let mut sockets = 0u64;
    // AF_INET, AF_INET6.
    for family in [2, 10] {
        socket.send(&request(family), 0)?;
        let mut done = false;
        while !done {
            let length = socket.recv(&mut &mut buffer[..], 0)?;
            let mut rest = buffer.get(..length).unwrap_or(&[]);
            while let Some((header, _)) = rest.split_first_chunk::<16>() {
                let [a, b, c, d, kind, _, ..] = *header;
                let length = u32::from_ne_bytes([a, b, c, d]).next_multiple_of(4) as usize;
                match kind {
                    20 => sockets += 1,
                    _ => done = true,
                }
                rest = rest.get(length.max(16)..).unwrap_or(&[]);
            }
        }
    }
    writeln!(io::stdout(), "sockets={sockets}")
}
