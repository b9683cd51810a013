//! Writes the seed corpora, each seed named for where it comes from: `seeds CAPTURES CORPUS`.
//!
//! `decode` gets one frame of every shape that the captures hold, `reader` and `conns` the captures themselves: as they
//! are, unpacked to their first packets, and cut; `texts` gets files of names and rules.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use flowcore::wire::{DecodeOptions, Layers, decode};
use flowcore::{Detail, FlowEvent, Status};
use flowsrc_pcap::Reader;

/// Larger inputs only make a fuzzer slow.
const LARGEST_SEED: usize = 16 * 1024;

/// Files of names and rules, as people write them.
const TEXTS: [(&str, &str); 5] = [
    ("rules", "# ours\n192.0.2.0/24, 198.51.100.7:443\n[2001:db8::7]:8000-8100/tcp\n*.example.net:https\n"),
    ("rule", "from 10.0.0.0/8 to as64496:53/udp"),
    ("hosts", "127.0.0.1 localhost\nfe80::1%lo0 lo # link\n"),
    ("services", "domain 53/udp nameserver\nhttps 443/tcp\n"),
    ("resolv.conf", "nameserver 192.0.2.53\nnameserver fe80::1%7\noptions timeout:1 attempts:2\n"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(captures), Some(corpus)) = (arguments.next(), arguments.next()) else {
        return Err("usage: seeds CAPTURES CORPUS".into());
    };
    let corpus = Path::new(&corpus);
    for target in ["decode", "reader", "conns", "texts"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    for (name, text) in TEXTS {
        fs::write(corpus.join("texts").join(name), text)?;
    }
    let mut shapes = HashSet::new();
    for entry in fs::read_dir(&captures)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains(".pcap") {
            continue;
        }
        frames(&path, &name, &mut shapes, &corpus.join("decode"))?;
        files(&path, &name, corpus)?;
    }
    Ok(())
}

/// One frame of each shape not seen before, as the target `decode` reads it.
fn frames(
    path: &Path,
    name: &str,
    shapes: &mut HashSet<String>,
    folder: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut reader = Reader::open(path)?;
    let mut packets = Vec::new();
    let mut number = 0;
    while reader.read_batch(512, &mut packets)? != Status::End {
        for packet in packets.drain(..) {
            number += 1;
            let frame = packet.bytes(reader.window());
            let (mut event, mut layers) = (FlowEvent::default(), Layers::default());
            decode(packet.link, frame, packet.wire, DecodeOptions::default(), &mut event, &mut layers);
            let kind = match event.detail {
                Detail::Tcp(segment) => format!("{:?} {:?}", segment.flags, segment.options),
                Detail::Icmp(message) => format!("{} {}", message.kind, message.code),
                _ => String::new(),
            };
            let tunnels = layers.tunnels.count();
            let shape = format!(
                "{:?} {} {:?} {kind} {:?} {tunnels}",
                packet.link, event.ethertype, event.key.protocol, event.notes
            );
            if shapes.insert(shape) {
                let cut = u8::try_from((packet.wire as usize - frame.len()).div_ceil(1024)).unwrap_or(u8::MAX);
                let mut seed = packet.link.0.to_le_bytes().to_vec();
                seed.extend([0, cut]);
                seed.extend(&frame[..frame.len().min(LARGEST_SEED)]);
                fs::write(folder.join(format!("{name}-{number}")), seed)?;
            }
        }
    }
    Ok(())
}

/// The file as it is, and its plain bytes whole or cut.
fn files(path: &Path, name: &str, corpus: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let packed = fs::read(path)?;
    let plain = match name.rsplit('.').next() {
        Some("gz") => unpack("gzip", &packed),
        Some("zst") => unpack("zstd", &packed),
        Some("lz4") => unpack("lz4", &packed),
        Some("xz") => unpack("xz", &packed),
        _ => None,
    };
    for target in ["reader", "conns"] {
        let folder = corpus.join(target);
        if packed.len() <= 2 * LARGEST_SEED {
            fs::write(folder.join(name), &packed)?;
        }
        let bytes = plain.as_ref().unwrap_or(&packed);
        fs::write(folder.join(format!("{name}-plain")), &bytes[..bytes.len().min(LARGEST_SEED)])?;
        fs::write(folder.join(format!("{name}-begin")), &bytes[..bytes.len().min(700)])?;
    }
    Ok(())
}

/// By the format's own tool; without it there is one seed less.
fn unpack(tool: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(tool).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take()?;
    let bytes = bytes.to_vec();
    // The tool may write before it has read everything.
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    output.status.success().then_some(output.stdout)
}
