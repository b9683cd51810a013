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

/// Rows that the trust line names.
const MOST_TOLD: usize = 3;

const BOLD: &str = "\x1b[1m";
const ALARM: &str = "\x1b[41;37m";
const PLAIN: &str = "\x1b[0m";

/// What is printed.
pub struct Classic<'a> {
    pub rows: &'a [Host],
    pub total: Option<&'a Host>,
    pub highlights: &'a Highlights,
    /// How many percentiles each row has.
    pub levels: usize,
    /// Without a title and the names of columns.
    pub no_header: bool,
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
        let mut lines = Vec::new();
        if !self.no_header {
            lines.extend([(true, plain(&GROUPS)), (true, plain(&COLUMNS))]);
        }
        lines.extend(self.rows.iter().map(|host| (false, self.row(host, names))));
        lines.extend(self.total.map(|total| (true, totals(total))));
        let cell = cell_width(&mut lines, width);
        let mut out = String::new();
        let style = |on: bool, code: &'static str| if paint && on { code } else { "" };
        if !self.no_header {
            out.push_str(&format!("{}TCP Remote TOP{} - analyzer: hosts\n", style(true, BOLD), style(true, PLAIN)));
        }
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
        let remarks: Vec<String> = self.remark(names).into_iter().chain(ending.remark.map(str::to_owned)).collect();
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        TextWriter::new(file, options).trailer(&Ending { remark: remark.as_deref(), ..*ending })
    }

    /// Which rows are not exact, and why: TRTOP's cells have no room for marks.
    fn remark(&self, names: &dyn Resolver) -> Option<String> {
        let inexact: Vec<&Host> = self.rows.iter().filter(|host| !host.quality().is_exact()).collect();
        let what = "of which counts and rates are lower bounds, percentages and percentiles near the truth";
        if inexact.is_empty() {
            // Those that make it so may have been left out.
            let total = self.total.map(Host::quality).filter(|quality| !quality.is_exact())?;
            return Some(format!("totals {what}: {}", total.at_least.join(", ")));
        }
        let told = |host: &&Host| format!("{} ({})", name(host, names), host.quality().at_least.join(", "));
        let mut rows: Vec<String> = inexact.iter().take(MOST_TOLD).map(told).collect();
        if inexact.len() > MOST_TOLD {
            rows.push("…".to_owned());
        }
        let (some, all) = (inexact.len(), self.rows.len());
        Some(format!("{some} of {all} rows {what}: {}", rows.join(", ")))
    }

    fn row(&self, host: &Host, names: &dyn Resolver) -> Vec<Cell> {
        let tally = &host.tally;
        let share = |count: u64, part: u64, column: &str| {
            let percent = host.percent(part);
            let text = match percent {
                Some(percent) => format!("{count} ({percent:.0}%)"),
                None => format!("{count} (-)"),
            };
            (text, percent.is_some_and(|percent| self.highlights.catch(column, &Value::F64(percent))))
        };
        // Of several percentiles all stand in one cell, in the order asked for.
        let all = |measure: Measure, absent: &str, text: fn(u64) -> String| {
            let values = (0..self.levels).map(|level| host.quantile(measure, level));
            let texts: Vec<String> = values.map(|value| value.map_or_else(|| absent.to_owned(), text)).collect();
            if texts.iter().all(|text| text == absent) { absent.to_owned() } else { texts.join("/") }
        };
        let span = |measure: Measure, column: &str| {
            let text = all(measure, "-", |nanos| format!("{:.2}", nanos as f64 / 1e6));
            let spans = (0..self.levels).filter_map(|level| host.quantile(measure, level));
            let mut spans = spans.map(|nanos| flowcore::Nanos::new(i64::try_from(nanos).unwrap_or(i64::MAX)));
            (text, spans.any(|nanos| self.highlights.catch(column, &Value::Span(nanos))))
        };
        let began = Began::Syn as usize;
        let plain = |text: String| (text, false);
        let both = |counts: [u64; 2]| counts.iter().sum::<u64>();
        let mut qos = (0..self.levels).filter_map(|level| host.quantile(Measure::PerConnection, level));
        let texts = [
            plain(name(host, names)),
            plain(counted(tally.syn, host.rate(tally.syn))),
            share(tally.syn_ack, tally.syn_ack, "syn_ack_percent"),
            share(tally.established, tally.established, "est_percent"),
            share(both(tally.reset), tally.reset[began], "rst_percent"),
            share(both(tally.closed_out), tally.closed_out[began], ""),
            share(both(tally.closed_in), tally.closed_in[began], ""),
            plain(host.rate(tally.established).map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))),
            (
                all(Measure::PerConnection, "*", |number| number.to_string()),
                qos.any(|number| self.highlights.catch("qos_p", &Value::U64(number))),
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

fn name(host: &Host, names: &dyn Resolver) -> String {
    match &host.who {
        Who::Remote(remote) => match names.name(remote.addr, remote.port).known() {
            Some(name) => name.escape_debug().to_string(),
            None => host.port.map_or_else(|| remote.addr.to_string(), |port| format!("{}:{port}", remote.addr)),
        },
        Who::Named(name) => name.escape_debug().to_string(),
        Who::Others => "(others)".to_owned(),
        Who::Allowed => "(allowed)".to_owned(),
        Who::Unlisted => "(unlisted)".to_owned(),
        Who::Total => "Totals:".to_owned(),
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

/// An 18th of the width, or as much more as the numbers need: on a narrow terminal names of remotes are shortened instead.
fn cell_width(lines: &mut [(bool, Vec<Cell>)], width: Option<usize>) -> usize {
    let mut cell = width.map_or(CELL, |width| width / CELLS);
    for (_, cells) in lines.iter() {
        for pair in cells.windows(2) {
            if pair[0].place == 0 && width.is_some() {
                continue;
            }
            let room = pair[1].place - pair[0].place;
            cell = cell.max((pair[0].text.chars().count() + 1).div_ceil(room));
        }
    }
    // The name has the room before the second column.
    let room = (COLUMNS[1].1 * cell).saturating_sub(2);
    for name in lines.iter_mut().filter_map(|(_, cells)| cells.first_mut()).filter(|name| name.place == 0) {
        if width.is_some() && name.text.chars().count() > room + 1 {
            name.text = name.text.chars().take(room).chain(['…']).collect();
        }
    }
    cell
}
