//! Waiting for notices and for the next poll at once.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::channel::Channel;

/// One descriptor that becomes readable when there is something to do.
pub(super) struct Readiness {
    pub(super) epoll: OwnedFd,
    timer: OwnedFd,
}

impl Readiness {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
        Ok(Self { epoll, timer })
    }

    pub(super) fn watch(&self, channel: &Channel) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, channel, epoll::EventData::new_u64(1), epoll::EventFlags::IN)?)
    }

    /// Becomes ready in this time.
    pub(super) fn set(&self, within: Duration) -> io::Result<()> {
        // 0 would stop the timer.
        let within = within.max(Duration::from_nanos(1));
        let it_value = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::time::timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: zero, it_value },
        )?;
        Ok(())
    }

    pub(super) fn wait(&self, within: Duration) -> io::Result<()> {
        let within = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 4];
        match epoll::wait(&self.epoll, &mut events[..], Some(&within)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
