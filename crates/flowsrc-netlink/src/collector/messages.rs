//! The messages in what the kernel answers.

use netlink_packet_core::NetlinkBuffer;

/// The messages of a datagram, up to one that contradicts its length.
pub(super) fn messages(bytes: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut read = 0;
    std::iter::from_fn(move || next_message(bytes, &mut read, bytes.len()))
}

/// The next message of `bytes[*read..end]`; `None`, with `*read` at the end, if there is none.
pub(super) fn next_message<'b>(bytes: &'b [u8], read: &mut usize, end: usize) -> Option<NetlinkBuffer<&'b [u8]>> {
    let rest = bytes.get(*read..end)?;
    let Ok(message) = NetlinkBuffer::new_checked(rest) else {
        *read = end;
        return None;
    };
    let length = message.length() as usize;
    *read = (*read + length.next_multiple_of(4)).min(end);
    rest.get(..length).map(NetlinkBuffer::new)
}

/// The number that an error or the end of a dump begins with: 0 or a negative errno.
pub(super) fn error_code(payload: &[u8]) -> i32 {
    payload.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code))
}
