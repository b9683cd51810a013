//! What /proc/net says of raw sockets, where the kernel cannot list them by `sock_diag`.

use flowcore::socket::{Family, SocketState, SocketType};
use flowcore::{Addr, SocketSample};

/// Reads `/proc/net/raw` (`Family::INET`) or `raw6`: a line a socket. Lines that do not read as one are left out and counted.
pub(crate) fn raw_sockets(text: &str, family: Family) -> (Vec<SocketSample>, u64) {
    let mut faulty = 0;
    let read = |line: &str| {
        let sample = raw_socket(line, family);
        faulty += u64::from(sample.is_none());
        sample
    };
    let samples = text.lines().skip(1).filter_map(read).collect();
    (samples, faulty)
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …`, numbers but uid and inode
/// in hexadecimal.
fn raw_socket(line: &str, family: Family) -> Option<SocketSample> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    // A raw socket has its protocol where others have their port.
    let (local, protocol) = words.get(1)?.split_once(':')?;
    let (remote, _) = words.get(2)?.split_once(':')?;
    let (send, receive) = words.get(4)?.split_once(':')?;
    Some(SocketSample {
        family,
        protocol: u16::try_from(hex(protocol)?).ok()?,
        socket_type: Some(SocketType::RAW),
        state: SocketState(u8::try_from(hex(words.get(3)?)?).ok()?),
        local: address(local, family)?,
        remote: address(remote, family)?,
        send_queue: Some(hex(send)?),
        receive_queue: Some(hex(receive)?),
        uid: words.get(7)?.parse().ok(),
        inode: words.get(9)?.parse().ok().filter(|&inode| inode != 0),
        ..SocketSample::default()
    })
}

/// Words of 32 bits as the machine reads them.
fn address(text: &str, family: Family) -> Option<Addr> {
    let mut octets = [0; 16];
    for (word, digits) in octets.chunks_exact_mut(4).zip(text.as_bytes().chunks(8)) {
        let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        word.copy_from_slice(&number.to_ne_bytes());
    }
    match (family, text.len()) {
        (Family::INET, 8) => octets.first_chunk().map(|&four| Addr::v4(four)),
        (Family::INET6, 32) => Some(Addr::v6(octets)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_is_a_socket() {
        // As written by Linux 6.18 of a socket for OSPF, bound to 127.0.0.1.
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                    89: 0100007F:0059 00000000:0000 07 00000000:0000002A 00:00000000 00000000  1000        0 981549 2 0000000000000000 0\n\
                    89: 0100007F\n";
        let (samples, faulty) = raw_sockets(text, Family::INET);
        let [sample] = samples[..] else { panic!("{samples:?}") };
        assert_eq!((sample.local, sample.protocol), ("127.0.0.1".parse().unwrap(), 89));
        assert_eq!((sample.receive_queue, sample.uid, sample.inode), (Some(42), Some(1000), Some(981_549)));
        assert_eq!(faulty, 1);
    }
}
