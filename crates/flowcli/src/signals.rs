//! What the user tells a running process: stop, stop now, say how far you are.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flowcore::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

use crate::inputs::is_standard_input;

/// A second signal this soon after the first is the same wish told twice: `timeout` signals its child and then its
/// whole group, a terminal the group and a wrapper its child.
const SAME_WISH: Duration = Duration::from_millis(250);

/// How long the writer of a pipe has, from the first signal on, to write what it still holds: Ctrl-C reaches both ends of
/// `tcpdump -w - | flow conns -r -`. tcpdump flushes when it has heard of it, which older ones do when the second is over
/// that it waits for packets.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// How often who waits for the last words looks whether it still shall.
const SLICE: Duration = Duration::from_millis(50);

/// Flags that signals set.
#[derive(Clone, Debug)]
pub struct Signals {
    /// The signal that asked to stop; 0 = none did.
    stop: Arc<AtomicUsize>,
    totals: Arc<AtomicBool>,
    /// Readable once somebody asked to stop.
    wake: Arc<PipeReader>,
    /// When that was.
    since: Arc<OnceLock<Instant>>,
    /// Set if the only input is a pipe, whose writer the same signal may have reached.
    drains: Arc<AtomicBool>,
    /// Set once that has ended by itself.
    ended: Arc<AtomicBool>,
}

impl Signals {
    /// SIGINT and SIGTERM ask to stop, a later one of them ends the process at once; SIGUSR1 asks for totals.
    ///
    /// # Errors
    /// If the system does not let us listen.
    pub fn listen() -> Result<Self> {
        Self::registered().map_err(|error| Error::io("signals cannot be listened for", error))
    }

    fn registered() -> io::Result<Self> {
        let stop = Arc::new(AtomicUsize::new(0));
        let totals = Arc::new(AtomicBool::new(false));
        // No pair of sockets, which `flow sockets` would list.
        let (wake, waker) = io::pipe()?;
        // Set by each of them.
        let told = Arc::new(AtomicBool::new(false));
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register_usize(signal, Arc::clone(&stop), signal as usize)?;
            low_level::pipe::register(signal, waker.try_clone()?)?;
            flag::register(signal, Arc::clone(&told))?;
        }
        flag::register(SIGUSR1, Arc::clone(&totals))?;
        let (since, drains, ended) = Default::default();
        let signals = Self { stop, totals, wake: Arc::new(wake), since, drains, ended };
        let watched = signals.clone();
        // A thread of its own, because the others may be held by a disk or by whoever reads the output: just then the
        // second signal must work.
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            watched.wait();
            watched.patience();
            std::thread::sleep(SAME_WISH);
            // What came by now is the same wish.
            told.store(false, Ordering::Relaxed);
            while watched.is_draining() {
                std::thread::sleep(SLICE.min(watched.patience()));
                if told.load(Ordering::Relaxed) {
                    watched.drains.store(false, Ordering::Relaxed);
                }
            }
            again.store(true, Ordering::Relaxed);
        })?;
        Ok(signals)
    }

    /// The signal that asked to stop, if one did.
    pub fn stop(&self) -> Option<i32> {
        match self.stop.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Whether to read no further: somebody asked to stop, and what a pipe's writer still had is read, or took too long.
    pub fn ends_reading(&self) -> bool {
        self.stop().is_some() && !self.has_ended() && !self.is_draining()
    }

    /// Whether the pipe that is the only input has ended by itself.
    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether the end of the pipe that is the only input is waited for, since somebody asked to stop.
    fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Relaxed) && !self.has_ended() && !self.patience().is_zero()
    }

    /// What is left of the time that a writer has since somebody asked to stop. Ctrl-C reaches it too; SIGTERM mostly comes
    /// to this process alone, from somebody who may not wait for long.
    fn patience(&self) -> Duration {
        let most = if self.stop() == Some(SIGTERM) { SAME_WISH } else { LAST_WORDS };
        most.saturating_sub(self.since.get_or_init(Instant::now).elapsed())
    }

    /// Waits until somebody asks to stop.
    fn wait(&self) {
        while self.stop().is_none() {
            match poll(&mut [PollFd::new(&*self.wake, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Nothing can be waited for: the second signal ends the process as soon as it comes.
                Err(_) => return,
            }
        }
    }

    /// Whether totals were asked for since this was last called.
    pub fn wants_totals(&self) -> bool {
        // A plain load first: this is asked after every batch.
        self.totals.load(Ordering::Relaxed) && self.totals.swap(false, Ordering::Relaxed)
    }
}

/// A pipe that ends soon after the user asks to stop, even while nothing arrives: signals restart a blocked read, so a
/// quiet pipe would otherwise hold the process until its next packet.
pub struct StoppableInput {
    input: OwnedFd,
    signals: Signals,
}

impl StoppableInput {
    /// Standard input, or what lies at `path`, if that may have nothing to give for long: `None` for everything that is
    /// neither a pipe nor a socket nor a device, and for what cannot be opened. Does not wait for the writer of a named
    /// pipe, as opening one otherwise would.
    pub fn at(path: &Path, signals: &Signals) -> Option<Self> {
        let input = if is_standard_input(path) {
            io::stdin().as_fd().try_clone_to_owned().ok()?
        } else if may_wait(FileType::from_raw_mode(rustix::fs::stat(path).ok()?.st_mode)) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
            rustix::fs::open(path, flags, Mode::empty()).ok()?
        } else {
            return None;
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&input).ok()?.st_mode);
        may_wait(kind).then(|| Self { input, signals: signals.clone() })
    }

    /// Says that there is no other input: the end of this one is then waited for a little.
    pub fn is_alone(&self) {
        self.signals.drains.store(true, Ordering::Relaxed);
    }
}

fn may_wait(kind: FileType) -> bool {
    matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice)
}

impl Read for StoppableInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&*self.signals.wake, PollFlags::IN)];
            // Once somebody asked to stop the wake is readable for good: only the input is waited for then.
            let stops = self.signals.stop().is_some();
            let (watched, left) = if stops {
                (&mut ready[..1], Some(SLICE.min(self.signals.patience())))
            } else {
                (&mut ready[..], None)
            };
            match poll(watched, left.and_then(|left| Timespec::try_from(left).ok()).as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // What is already in the pipe is read first, so that a writer who was stopped by the same Ctrl-C loses
            // nothing.
            if !ready[0].revents().is_empty() {
                match rustix::io::read(&self.input, &mut *buffer) {
                    // Somebody else took it.
                    Err(rustix::io::Errno::AGAIN) => {}
                    Ok(0) => {
                        self.signals.ended.store(true, Ordering::Relaxed);
                        return Ok(0);
                    }
                    done => return done.map_err(io::Error::from),
                }
            }
            if self.signals.ends_reading() {
                return Ok(0);
            }
        }
    }
}
