//! A bar on standard error while a long file is read.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is shown before this time: short work needs no bar.
const PATIENCE: Duration = Duration::from_millis(700);

/// Between two looks at the clock.
const BATCHES: u32 = 64;

/// How far reading has come, shown when it takes long and somebody looks.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    batches: u32,
    wanted: bool,
}

impl Progress {
    /// A bar if `wanted` and standard error is a terminal.
    pub fn new(wanted: bool) -> Self {
        Self { bar: None, started: Instant::now(), batches: 0, wanted: wanted && io::stderr().is_terminal() }
    }

    /// After every batch; `position` gives bytes read and, if it is known, bytes in all.
    pub fn tick(&mut self, position: impl FnOnce() -> (u64, Option<u64>)) {
        if !self.wanted {
            return;
        }
        self.batches += 1;
        if self.batches < BATCHES {
            return;
        }
        self.batches = 0;
        if self.bar.is_none() && self.started.elapsed() < PATIENCE {
            return;
        }
        let (read, total) = position();
        let bar = self.bar.get_or_insert_with(|| {
            let bar = match total {
                Some(total) => ProgressBar::new(total).with_style(style("{wide_bar} {bytes}/{total_bytes} {eta}")),
                None => ProgressBar::no_length().with_style(style("{spinner} {bytes} in {elapsed}")),
            };
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            // What came before the bar must not look like one enormous step.
            bar.with_position(read).with_elapsed(self.started.elapsed())
        });
        bar.set_position(read);
    }

    /// Takes the bar away, before anything else is written to the terminal.
    pub fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
