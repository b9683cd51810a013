//! What the user tells a running process: stop, stop now, say how far you are.

use std::io::{self, Read, Stdin};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{flag, low_level};

/// Flags that signals set.
#[derive(Clone, Debug)]
pub struct Signals {
    /// The signal that asked to stop; 0 = none did.
    stop: Arc<AtomicUsize>,
    totals: Arc<AtomicBool>,
    /// Readable once somebody asked to stop.
    wake: Arc<UnixStream>,
}

impl Signals {
    /// SIGINT and SIGTERM ask to stop, the second one of them ends the process at once; SIGUSR1 asks for totals.
    ///
    /// # Errors
    /// If the system does not let us listen.
    pub fn listen() -> io::Result<Self> {
        let stop = Arc::new(AtomicUsize::new(0));
        let totals = Arc::new(AtomicBool::new(false));
        let (wake, waker) = UnixStream::pair()?;
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds `again` unset and sets it, the second one finds it set.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            flag::register_usize(signal, Arc::clone(&stop), signal as usize)?;
            low_level::pipe::register(signal, waker.try_clone()?)?;
        }
        flag::register(SIGUSR1, Arc::clone(&totals))?;
        Ok(Self { stop, totals, wake: Arc::new(wake) })
    }

    /// The signal that asked to stop, if one did.
    pub fn stop(&self) -> Option<i32> {
        match self.stop.load(Ordering::Relaxed) {
            0 => None,
            signal => i32::try_from(signal).ok(),
        }
    }

    /// Whether totals were asked for since this was last called.
    pub fn wants_totals(&self) -> bool {
        // A plain load first: this is asked after every batch.
        self.totals.load(Ordering::Relaxed) && self.totals.swap(false, Ordering::Relaxed)
    }
}

/// Standard input that ends when the user asks to stop, even while nothing arrives: signals restart a blocked read,
/// so a quiet pipe would otherwise hold the process until its next packet.
pub struct StoppableInput {
    input: Stdin,
    signals: Signals,
}

impl StoppableInput {
    /// Standard input that listens to `signals`.
    pub fn new(signals: Signals) -> Self {
        Self { input: io::stdin(), signals }
    }
}

impl Read for StoppableInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&*self.signals.wake, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // What is already in the pipe is read first, so that a writer who was stopped by the same Ctrl-C loses
            // nothing.
            if !ready[0].revents().is_empty() {
                return rustix::io::read(&self.input, buffer).map_err(io::Error::from);
            }
            if self.signals.stop().is_some() {
                return Ok(0);
            }
        }
    }
}
