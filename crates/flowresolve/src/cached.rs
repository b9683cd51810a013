//! Names that take their time, looked up by a few threads and kept as long as they hold.

mod store;

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flowcore::{Addr, Lookup, Resolver};

pub use store::Lifetimes;
use store::{Found, Store};

/// Where names come from that are not at hand: a name server, a database, an inventory.
pub trait Source: Send + Sync + 'static {
    /// The name of an address. Called by the threads of a [`Cached`], at the same time by several of them. May wait,
    /// but not for ever: a thread that waits answers nobody else.
    fn ask(&self, addr: Addr) -> Answer;
}

impl<F: Fn(Addr) -> Answer + Send + Sync + 'static> Source for F {
    fn ask(&self, addr: Addr) -> Answer {
        self(addr)
    }
}

/// What a [`Source`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name, and how long it holds; `None` if the source does not know.
    Name(Arc<str>, Option<Duration>),
    /// There is no name, and how long that holds.
    Absent(Option<Duration>),
    /// The source could not tell: it did not answer in time, or not sensibly.
    Failed,
}

/// Bounds of a [`Cached`].
#[derive(Copy, Clone, Debug)]
pub struct Options {
    /// Threads that ask at the same time. The first is started by the first question.
    pub workers: usize,
    /// Addresses that wait to be asked for. What comes when so many wait is not noted: it stays pending until somebody
    /// asks again.
    pub queue: usize,
    /// Addresses whose names are kept, at least as many as may wait; beyond, the oldest is forgotten.
    pub names: usize,
    /// How long answers hold.
    pub lifetimes: Lifetimes,
    /// The clock that lifetimes are told by; tests have their own.
    pub clock: fn() -> Instant,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 16, queue: 8192, names: 65_536, lifetimes: Lifetimes::default(), clock: Instant::now }
    }
}

/// What became of the questions.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Put to the source.
    pub asked: u64,
    /// Of these: answered with a name.
    pub named: u64,
    /// Of these: answered that there is none.
    pub absent: u64,
    /// Of these: not answered, or not sensibly.
    pub failed: u64,
    /// Not put to the source because too many were waiting; each time an address was turned away counts.
    pub refused: u64,
    /// Names forgotten before their time because too many were kept.
    pub forgotten: u64,
}

/// A [`Resolver`] over a [`Source`] that takes its time.
///
/// [`name`](Resolver::name) answers from memory or says [`Pending`](Lookup::Pending) and leaves the question to a
/// thread. A name whose time is over is still given while it is asked for again, so that a display does not flicker.
/// Dropping it does not wait for questions under way.
pub struct Cached {
    shared: Arc<Shared>,
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

struct Shared {
    source: Box<dyn Source>,
    options: Options,
    state: Mutex<State>,
    /// There is something to ask, or it is time to go.
    work: Condvar,
    /// Nothing is left to ask.
    idle: Condvar,
}

struct State {
    store: Store,
    waiting: VecDeque<Addr>,
    /// Questions that are being asked.
    busy: usize,
    /// Threads, and how many of them wait for work.
    threads: usize,
    free: usize,
    closed: bool,
    counts: Counts,
    /// How many had been asked when somebody last waited.
    settled: u64,
}

impl Cached {
    /// Names from `source`.
    pub fn new(source: impl Source, options: Options) -> Self {
        let options = Options { workers: options.workers.max(1), queue: options.queue.max(1), ..options };
        let names = options.names.max(options.queue + options.workers + 1);
        let state = State {
            store: Store::new(names, options.lifetimes),
            waiting: VecDeque::new(),
            busy: 0,
            threads: 0,
            free: 0,
            closed: false,
            counts: Counts::default(),
            settled: 0,
        };
        let shared = Shared {
            source: Box::new(source),
            options,
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What became of the questions so far.
    pub fn counts(&self) -> Counts {
        let state = self.shared.lock();
        Counts { forgotten: state.store.forgotten(), ..state.counts }
    }

    /// Notes a question and sees to it that somebody asks it.
    fn note(&self, state: &mut State, addr: Addr) {
        if state.waiting.len() >= self.shared.options.queue {
            state.counts.refused += 1;
            return;
        }
        state.store.asking(addr);
        state.waiting.push_back(addr);
        if state.waiting.len() > state.free && state.threads < self.shared.options.workers {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("names".into());
            if thread.spawn(move || work(&shared)).is_ok() {
                state.threads += 1;
            }
        }
        if state.threads == 0 {
            // The system gives no thread: nobody will ever ask.
            let now = (self.shared.options.clock)();
            while let Some(addr) = state.waiting.pop_front() {
                state.finish(addr, Answer::Failed, now);
            }
        }
        self.shared.work.notify_one();
    }
}

impl Resolver for Cached {
    fn name(&self, addr: Addr, _port: u16) -> Lookup<Arc<str>> {
        let now = (self.shared.options.clock)();
        let mut state = self.shared.lock();
        match state.store.find(addr, now) {
            Found::Fresh(answer) => answer,
            Found::Stale(answer) => {
                self.note(&mut state, addr);
                answer
            }
            Found::Nothing => {
                self.note(&mut state, addr);
                Lookup::Pending
            }
        }
    }

    fn settle(&self, within: Duration) -> Duration {
        let mut state = self.shared.lock();
        let busy = |state: &mut State| state.busy > 0 || !state.waiting.is_empty();
        let mut left = within;
        if busy(&mut state) {
            let begun = Instant::now();
            let waited = self.shared.idle.wait_timeout_while(state, within, busy);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            left = within.saturating_sub(begun.elapsed());
        }
        let asked = state.counts.asked;
        let came = std::mem::replace(&mut state.settled, asked) < asked;
        // What came before anybody waited took no time.
        if came { left.min(within.saturating_sub(Duration::from_nanos(1))) } else { left }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// The state; whoever panicked while holding it left it whole, as nothing in between can.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn finish(&mut self, addr: Addr, answer: Answer, now: Instant) {
        self.counts.asked += 1;
        *match answer {
            Answer::Name(..) => &mut self.counts.named,
            Answer::Absent(_) => &mut self.counts.absent,
            Answer::Failed => &mut self.counts.failed,
        } += 1;
        self.store.answer(addr, answer, now);
    }
}

/// One thread's life: asks until it is told to go.
fn work(shared: &Shared) {
    let mut state = shared.lock();
    while !state.closed {
        let Some(addr) = state.waiting.pop_front() else {
            state.free += 1;
            state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.free -= 1;
            continue;
        };
        state.busy += 1;
        drop(state);
        // A source that panics has failed; nobody shall wait for its answer for ever.
        let answer = catch_unwind(AssertUnwindSafe(|| shared.source.ask(addr))).unwrap_or(Answer::Failed);
        let now = (shared.options.clock)();
        state = shared.lock();
        state.busy -= 1;
        state.finish(addr, answer, now);
        if state.busy == 0 && state.waiting.is_empty() {
            shared.idle.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
