//! Writes a synthetic capture and prints the truth about it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use benches::capture::{Format, Writer};
use benches::traffic::{Plan, Shape, generate};

const USAGE: &str = "\
usage: generate OUT SHAPE PACKETS [--snap BYTES] [--seed N] [--seconds N] [--pcapng]
  SHAPE      small (146 k flows in 20 M packets), flows (1.3 M in 15 M), full (full-size packets),
             random (every packet a 5-tuple of its own)
  --snap     captured bytes of each packet at most (default 100; 65535 for full)
  --seed     chooses one capture of the shape (default 1)
  --seconds  over how long `random` spreads its packets (default 3600)
  --pcapng   pcapng with nanoseconds instead of classic pcap with microseconds
Prints packets, flows and what else is known of the file as `name<TAB>value` lines.
";

struct Request {
    file: String,
    plan: Plan,
    snap_length: u32,
    format: Format,
}

fn parse(arguments: impl Iterator<Item = String>) -> Option<Request> {
    let (mut places, mut snap, mut seed, mut seconds) = (Vec::new(), None, 1, 3_600);
    let mut format = Format::Pcap;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--pcapng" => format = Format::PcapNg,
            "--snap" => snap = Some(arguments.next()?.parse().ok()?),
            "--seed" => seed = arguments.next()?.parse().ok()?,
            "--seconds" => seconds = arguments.next()?.parse().ok()?,
            option if option.starts_with("--") => return None,
            _ => places.push(argument),
        }
    }
    let [file, shape, packets] = <[String; 3]>::try_from(places).ok()?;
    let shape = Shape::named(&shape)?;
    let snap_length = snap.unwrap_or(if shape == Shape::Full { 65_535 } else { 100 });
    Some(Request { file, plan: Plan { shape, packets: packets.parse().ok()?, seed, seconds }, snap_length, format })
}

fn run(request: &Request) -> io::Result<()> {
    let out = BufWriter::with_capacity(1 << 20, File::create(&request.file)?);
    let mut writer = Writer::new(out, request.format, request.snap_length)?;
    let truth = generate(request.plan, &mut writer)?;
    let file_bytes = writer.finish()?;
    let mut screen = io::stdout().lock();
    truth.print(&mut screen)?;
    writeln!(screen, "file_bytes\t{file_bytes}")
}

fn main() -> ExitCode {
    let Some(request) = parse(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate: {}: {error}", request.file);
            ExitCode::FAILURE
        }
    }
}
