//! TRTOP's own layout: a title, three groups of columns, the width cut into 18 equal cells, text at 2 + cell × n.
//!
//! Two things differ. Cells are wider than an 18th of the width where a text would otherwise run into its neighbour. And
//! there are as many lines as rows: TRTOP ended with an error where its screen had fewer.

use std::io::{self, Write};

use flowcore::report::{Ending, TextOptions, TextWriter, Value};
use flowcore::resolve::Resolver;
use flowstats::hosts::{Began, Host, Measure, Who};

use crate::args::Highlights;
use crate::output;

/// Equal parts of the width.
const CELLS: usize = 18;

/// Before the first cell.
const MARGIN: usize = 2;

/// The width of a cell where no terminal says it.
const CELL: usize = 9;

/// Column titles and the cells they begin in.
const COLUMNS: [(&str, usize); 14] = [
    ("Host", 0),
    ("Syn(/s)", 2),
    ("Syn/Ack(%)", 4),
    ("Est(%)", 6),
    ("Rst(%)", 8),
    ("Fin_O(%)", 9),
    ("Fin_I(%)", 10),
    ("Est Rate", 11),
    ("QoS", 12),
    ("Lat", 13),
    ("Out", 14),
    ("In", 15),
    ("Rtt", 16),
    ("Err", 17),
];

const GROUPS: [(&str, usize); 3] = [("Connections", 2), ("Transport", 14), ("Pcap", 17)];

const BOLD: &str = "\x1b[1m";
const ALARM: &str = "\x1b[41;37m";
const PLAIN: &str = "\x1b[0m";

/// What is printed.
pub struct Classic<'a> {
    pub rows: &'a [Host],
    pub total: Option<&'a Host>,
    pub highlights: &'a Highlights,
}

/// A text and whether it is to catch the eye.
struct Cell {
    place: usize,
    text: String,
    alarming: bool,
}

impl Classic<'_> {
    /// Prints the table for a terminal of `width` columns, and the trust line if there is an `ending`.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn print(
        &self,
        width: Option<usize>,
        paint: bool,
        names: &dyn Resolver,
        ending: Option<&Ending<'_>>,
    ) -> io::Result<()> {
        let plain = |texts: &[(&str, usize)]| -> Vec<Cell> {
            texts.iter().map(|&(text, place)| Cell { place, text: text.to_owned(), alarming: false }).collect()
        };
        let mut lines = vec![(true, plain(&GROUPS)), (true, plain(&COLUMNS))];
        lines.extend(self.rows.iter().map(|host| (false, self.row(host, names))));
        lines.extend(self.total.map(|total| (true, totals(total))));
        let cell = cell_width(&lines, width);
        let mut out = String::new();
        let style = |on: bool, code: &'static str| if paint && on { code } else { "" };
        out.push_str(&format!("{}TCP Remote TOP{} - analyzer: hosts\n", style(true, BOLD), style(true, PLAIN)));
        for (bold, cells) in &lines {
            let mut at = 0;
            for Cell { place, text, alarming } in cells {
                let begin = MARGIN + cell * place;
                out.push_str(&" ".repeat(begin.saturating_sub(at)));
                let (on, off) = (style(*bold, BOLD), style(*bold || *alarming, PLAIN));
                out.push_str(&format!("{on}{}{text}{off}", style(*alarming, ALARM)));
                at = begin + text.chars().count();
            }
            out.push('\n');
        }
        let mut file = output::standard_output()?;
        file.write_all(out.as_bytes())?;
        let Some(ending) = ending else { return Ok(()) };
        let options = TextOptions { width, color: paint, ..TextOptions::default() };
        TextWriter::new(file, options).trailer(ending)
    }

    fn row(&self, host: &Host, names: &dyn Resolver) -> Vec<Cell> {
        let tally = &host.tally;
        let name = match &host.who {
            Who::Remote(remote) => match names.name(remote.addr, remote.port).known() {
                Some(name) => name.to_string(),
                None => host.port.map_or_else(|| remote.addr.to_string(), |port| format!("{}:{port}", remote.addr)),
            },
            Who::Named(name) => name.escape_debug().to_string(),
            Who::Others => "(others)".to_owned(),
            Who::Allowed => "(allowed)".to_owned(),
            Who::Unlisted => "(unlisted)".to_owned(),
            Who::Total => "Totals:".to_owned(),
        };
        let share = |count: u64, part: u64, column: &str| {
            let percent = host.percent(part);
            let text = match percent {
                Some(percent) => format!("{count} ({percent:.0}%)"),
                None => format!("{count} (-)"),
            };
            (text, percent.is_some_and(|percent| self.highlights.catch(column, &Value::F64(percent))))
        };
        let span = |measure: Measure, column: &str| {
            let value = host.quantile(measure, 0);
            let text = value.map_or_else(|| "-".to_owned(), |nanos| format!("{:.2}", nanos as f64 / 1e6));
            let nanos = value.map(|nanos| flowcore::Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX)));
            (text, nanos.is_some_and(|nanos| self.highlights.catch(column, &Value::Span(nanos))))
        };
        let began = Began::Syn as usize;
        let plain = |text: String| (text, false);
        let both = |counts: [u64; 2]| counts.iter().sum::<u64>();
        let qos = host.quantile(Measure::PerConnection, 0);
        let texts = [
            plain(name),
            plain(counted(tally.syn, host.rate(tally.syn))),
            share(tally.syn_ack, tally.syn_ack, "syn_ack_percent"),
            share(tally.established, tally.established, "est_percent"),
            share(both(tally.reset), tally.reset[began], "rst_percent"),
            share(both(tally.closed_out), tally.closed_out[began], ""),
            share(both(tally.closed_in), tally.closed_in[began], ""),
            plain(host.rate(tally.established).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))),
            (
                qos.map_or_else(|| "*".to_owned(), |number| number.to_string()),
                qos.is_some_and(|number| self.highlights.catch("qos_p", &Value::U64(number))),
            ),
            span(Measure::Connect, "lat_p"),
            plain(tally.requests.to_string()),
            plain(tally.responses.to_string()),
            span(Measure::LastByte, "rtt_p"),
            plain(tally.errors().to_string()),
        ];
        COLUMNS.iter().zip(texts).map(|(&(_, place), (text, alarming))| Cell { place, text, alarming }).collect()
    }
}

/// Sums of SYNs, handshakes and resets only, as TRTOP had them: those of the others would say nothing.
fn totals(total: &Host) -> Vec<Cell> {
    let tally = &total.tally;
    let texts = [
        (0, "Totals:".to_owned()),
        (2, counted(tally.syn, total.rate(tally.syn))),
        (6, counted(tally.established, total.rate(tally.established))),
        (8, tally.reset.iter().sum::<u64>().to_string()),
    ];
    texts.into_iter().map(|(place, text)| Cell { place, text, alarming: false }).collect()
}

fn counted(count: u64, rate: Option<f64>) -> String {
    rate.map_or_else(|| format!("{count} (-)"), |rate| format!("{count} ({rate:.2})"))
}

/// An 18th of the width, or as much more as the texts need.
fn cell_width(lines: &[(bool, Vec<Cell>)], width: Option<usize>) -> usize {
    let mut cell = width.map_or(CELL, |width| width / CELLS);
    for (_, cells) in lines {
        for pair in cells.windows(2) {
            let room = pair[1].place - pair[0].place;
            cell = cell.max((pair[0].text.chars().count() + 1).div_ceil(room));
        }
    }
    cell
}
