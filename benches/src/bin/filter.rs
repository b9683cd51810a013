//! Our side of `filters.sh`: ns per packet of one filter over packets held in memory, how many there are, how many pass.

use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use benches::filter::{FILTERS, bound, count, fifty, packets};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match texts.as_slice() {
        ["list"] => {
            let fifty = fifty();
            let all = FILTERS.iter().copied().chain([("50 leaves", fifty.as_str())]);
            all.map(|(name, text)| format!("{name}\t{text}\n")).collect::<String>()
        }
        [path, most, repeats, text] => match measured(path, most, repeats, text) {
            Ok(told) => told,
            Err(error) => {
                eprintln!("filter: {error}");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            eprintln!("usage: filter list | filter FILE PACKETS REPEATS FILTER");
            return ExitCode::from(2);
        }
    };
    match io::stdout().write_all(told.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn measured(path: &str, most: &str, repeats: &str, text: &str) -> Result<String, Box<dyn std::error::Error>> {
    let (most, repeats): (usize, u64) = (most.parse()?, repeats.parse()?);
    let events = packets(path, most)?;
    let filter = bound(text)?;
    let begin = Instant::now();
    let passed: u64 = (0..repeats).map(|_| count(black_box(&filter), black_box(&events))).sum();
    let nanos = begin.elapsed().as_secs_f64() * 1e9 / (events.len() as f64 * repeats as f64);
    Ok(format!("{nanos:.3} {} {}\n", events.len(), passed / repeats))
}
