//! A capture file of any bytes: it ends, every packet lies within its window, and damage is told.

#![no_main]

use std::io::Cursor;

use flowcore::Status;
use flowsrc_pcap::Reader;
use libfuzzer_sys::fuzz_target;

/// A few bytes may unpack to gigabytes, which is no fault of the reader: stop looking after this many packets.
const ENOUGH: u64 = 200_000;

fuzz_target!(|input: &[u8]| {
    let Ok(mut reader) = Reader::from_read(Box::new(Cursor::new(input.to_vec())), "input") else { return };
    // The batch size is the input's choice; what is read must not depend on it, see the property tests.
    let most = usize::from(input.last().copied().unwrap_or(0)).max(1);
    let mut packets = Vec::new();
    while reader.packets() < ENOUGH {
        packets.clear();
        let status = reader.read_batch(most, &mut packets).expect("reading from memory does not fail");
        assert!(packets.len() <= most);
        for packet in &packets {
            assert_eq!(packet.bytes(reader.window()).len(), packet.captured as usize, "a packet outside its window");
            assert!(packet.wire >= packet.captured || reader.fault().is_some(), "contradicting lengths without a word");
            assert!(usize::from(packet.interface) < reader.interfaces().len());
        }
        if status == Status::End {
            assert!(packets.is_empty());
            break;
        }
        assert!(!packets.is_empty(), "neither a packet nor the end: this would never stop");
    }
    let ledger = reader.ledger();
    assert_eq!(ledger.seen(), ledger.accounted());
    // Packets that run backwards are a fault too, of an input that is complete.
    assert!(!ledger.incomplete || reader.fault().is_some(), "incomplete without a word why");
    // What is odd of a packet that is there, and of options, is no packet's loss: the ledger counts packets.
    const ODD: [&str; 4] = ["its fraction of a second", "on the wire", "outside the years", "option"];
    let counted = |fault: String| {
        ledger.incomplete || ledger.backwards + ledger.lost_total() > 0 || ODD.iter().any(|odd| fault.contains(odd))
    };
    assert!(reader.fault().is_none_or(counted), "a fault that the ledger hides");
});
