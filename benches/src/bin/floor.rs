//! Runs one stage of the job over a file and prints how many packets and flows it saw: a command to measure from
//! outside, beside whole programs.

use std::io::{self, Write};
use std::process::ExitCode;

use benches::stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stage, path] = arguments.as_slice() else {
        eprintln!("usage: floor walk|pcap-file|read|decode|table|conns|course|hosts FILE");
        return ExitCode::from(2);
    };
    let Some(stage) = Stage::named(stage) else {
        eprintln!("floor: no stage {stage:?}");
        return ExitCode::from(2);
    };
    let told = stage.run(path).map_err(|error| error.to_string()).and_then(|seen| {
        writeln!(io::stdout(), "packets={} flows={}", seen.packets, seen.flows).map_err(|e| e.to_string())
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
