//! Bars of text: Fleutan's charts.
//!
//! A title, a rule as long as a line, then one line for each bar: the bar, blanks, its value aligned to the right of the
//! widest, a gap, its label aligned to the left.
//!
//! With `V` the widest value and `L` the widest label, bars get what a line of [`Layout::line`] leaves after `V`, `L` and
//! two gaps. Where that is not more than [`Layout::least_bar`], they get just that and lines grow. A bar is
//! `floor(value × area / greatest value)` symbols long.

mod bins;
mod figures;

pub use bins::{Bin, MOST_BINS, equal_bins, log_bins};
pub use figures::{push_scaled, python_number};

/// How long things are, in characters.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// A line, unless it has to grow.
    pub line: usize,
    /// The area of bars at least.
    pub least_bar: usize,
    /// Between bar and value, and between value and label.
    pub gap: usize,
}

impl Layout {
    /// Fleutan's: 100 characters, 50 for bars at least, gaps of 10.
    pub const FLEUTAN: Self = Self { line: 100, least_bar: 50, gap: 10 };
}

impl Default for Layout {
    fn default() -> Self {
        Self::FLEUTAN
    }
}

/// What a value is worth.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Shade {
    /// Up to the first threshold.
    Green,
    /// Up to the second.
    Yellow,
    /// Above it.
    Red,
}

impl Shade {
    /// The escape sequence that begins it.
    pub const fn escape(self) -> &'static str {
        match self {
            Self::Green => "\x1b[0;32m",
            Self::Yellow => "\x1b[0;33m",
            Self::Red => "\x1b[0;31m",
        }
    }
}

const PLAIN: &str = "\x1b[0m";

/// Three limits that colour values: green up to the first, yellow up to the second, red above. The third parts a bar
/// once more and changes no colour.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Thresholds([f64; 3]);

impl Thresholds {
    /// Fleutan's default, in milliseconds.
    pub const DEFAULT: Self = Self([10.0, 20.0, 100.0]);

    /// These limits; `None` unless they are finite and rise.
    pub fn new(limits: [f64; 3]) -> Option<Self> {
        let rise = limits[0] < limits[1] && limits[1] < limits[2];
        (rise && limits.iter().all(|limit| limit.is_finite())).then_some(Self(limits))
    }

    /// The limits, rising.
    pub fn limits(self) -> [f64; 3] {
        self.0
    }

    /// The colour of a value.
    pub fn shade(self, value: f64) -> Shade {
        match value {
            value if value <= self.0[0] => Shade::Green,
            value if value <= self.0[1] => Shade::Yellow,
            _ => Shade::Red,
        }
    }

    /// Where the parts of a bar of `value` end, rising, and their colours: at every limit below it, and at `value`.
    fn parts(self, value: f64) -> impl Iterator<Item = (f64, Shade)> {
        let below = self.0.into_iter().filter(move |&limit| limit < value);
        below.chain([value]).map(move |end| (end, self.shade(end)))
    }
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// How much.
    pub value: f64,
    /// Of what.
    pub label: String,
}

/// Bars under a title.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// An empty one is a line too.
    pub title: &'a str,
    /// What bars are made of.
    pub symbol: char,
    /// How long things are.
    pub layout: Layout,
    /// Colours bars and values.
    pub thresholds: Option<Thresholds>,
    /// Writes a value.
    pub figure: fn(&mut String, f64),
    /// From top to bottom. Values are not negative; what is not a number draws no bar.
    pub bars: Vec<Bar>,
}

impl<'a> Chart<'a> {
    /// Full blocks in Fleutan's layout, without colours.
    pub fn new(title: &'a str, bars: Vec<Bar>) -> Self {
        Self { title, symbol: '█', layout: Layout::FLEUTAN, thresholds: None, figure: push_scaled, bars }
    }

    /// Appends the chart, each line ended. Escape sequences only with `paint`.
    pub fn render(&self, paint: bool, out: &mut String) {
        let Measures { line, area, value_width, label_width } = self.measure();
        push_line(out, self.title);
        push_line(out, &"#".repeat(line));
        let greatest = self.greatest();
        let mut figure = String::new();
        for bar in &self.bars {
            let mut drawn = 0;
            let mut from = 0.0;
            for (end, shade) in self.parts(bar.value) {
                // Each part is rounded down on its own: a bar of several may be shorter than one of one.
                let symbols = length(end - from, area, greatest);
                let bar = std::iter::repeat_n(self.symbol, symbols).collect::<String>();
                push_painted(out, &bar, shade.filter(|_| paint));
                drawn += symbols;
                from = end;
            }
            figure.clear();
            (self.figure)(&mut figure, bar.value);
            let blanks = (area + self.layout.gap).saturating_sub(drawn) + value_width.saturating_sub(width(&figure));
            push_blanks(out, blanks);
            let shade = self.thresholds.filter(|_| paint).map(|thresholds| thresholds.shade(bar.value));
            push_painted(out, &figure, shade);
            push_blanks(out, self.layout.gap);
            out.push_str(&bar.label);
            push_blanks(out, label_width.saturating_sub(width(&bar.label)));
            out.push('\n');
        }
    }

    fn measure(&self) -> Measures {
        let Layout { line, least_bar, gap } = self.layout;
        let mut value_width = 0;
        let mut figure = String::new();
        for bar in &self.bars {
            // Of every part, though only the last one's is shown: 1.00K is narrower than the limit 100.00 below it.
            for (end, _) in self.parts(bar.value) {
                figure.clear();
                (self.figure)(&mut figure, end);
                value_width = value_width.max(width(&figure));
            }
        }
        let texts = value_width + self.bars.iter().map(|bar| width(&bar.label)).max().unwrap_or(0);
        let least_line = least_bar + 2 * gap + texts;
        let titled = line.max(width(self.title));
        let label_width = texts - value_width;
        if least_line < titled {
            // A long title lengthens the rule and what follows labels, not the bars.
            let area = line.saturating_sub(2 * gap + texts);
            Measures { line: titled, area, value_width, label_width: label_width + titled - line }
        } else {
            Measures { line: least_line, area: least_bar, value_width, label_width }
        }
    }

    fn greatest(&self) -> f64 {
        self.bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max)
    }

    /// Where the parts of a bar end, and their colours.
    fn parts(&self, value: f64) -> impl Iterator<Item = (f64, Option<Shade>)> {
        let coloured = self.thresholds.map(|thresholds| thresholds.parts(value));
        let plain = coloured.is_none().then_some((value, None));
        coloured.into_iter().flatten().map(|(end, shade)| (end, Some(shade))).chain(plain)
    }
}

/// What follows from the bars.
struct Measures {
    line: usize,
    area: usize,
    value_width: usize,
    label_width: usize,
}

/// How many symbols a value gets.
fn length(value: f64, area: usize, greatest: f64) -> usize {
    // The cast gives 0 for what is no number.
    if greatest > 0.0 { ((value * area as f64 / greatest) as usize).min(area) } else { 0 }
}

/// In characters.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn push_line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn push_blanks(out: &mut String, blanks: usize) {
    out.extend(std::iter::repeat_n(' ', blanks));
}

fn push_painted(out: &mut String, text: &str, shade: Option<Shade>) {
    match shade {
        Some(shade) => {
            out.push_str(shade.escape());
            out.push_str(text);
            out.push_str(PLAIN);
        }
        None => out.push_str(text),
    }
}

#[cfg(test)]
mod tests;
