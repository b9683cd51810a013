//! On which CPUs the threads of processes run, and which CPUs serve the queues of interfaces.

mod steering;

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use flowcore::placement::Placement;
use flowcore::{Nanos, Result, Timestamp};
use rustix::fs::{Mode, OFlags, openat};

use crate::process::{failed, numbers, place, read, texts};

pub use steering::{Role, Service, cpus, services};

/// Looks at threads again and again.
#[derive(Debug)]
pub struct Threads {
    proc: OwnedFd,
    /// How long each had run at the look before, nanoseconds; by process and thread.
    ran: HashMap<(u32, u32), u64>,
}

impl Threads {
    /// Opens /proc. Nothing is looked at yet.
    ///
    /// # Errors
    /// If there is no /proc.
    pub fn open() -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = openat(rustix::fs::CWD, "/proc", flags, Mode::empty()).map_err(|error| failed("/proc", error))?;
        Ok(Self { proc, ran: HashMap::new() })
    }

    /// One look at every thread of these processes, each known by its id and when it began
    /// ([`Owner::start_ticks`](crate::process::Owner::start_ticks)). Of one that has ended there is nothing, also if another
    /// has its id now.
    pub fn look(&mut self, processes: impl IntoIterator<Item = (u32, u64)>, time: Timestamp) -> Vec<Placement> {
        let mut placements = Vec::new();
        let mut ran = HashMap::new();
        let mut buffer = Vec::new();
        for (pid, start_ticks) in processes {
            let Ok(place) = place(self.proc.as_fd(), pid) else { continue };
            let began = read(&place, "stat", &mut buffer).ok().and_then(|()| texts::stat(&buffer));
            if began.is_none_or(|stat| stat.start_ticks != start_ticks) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(tasks) = openat(&place, "task", flags, Mode::empty()) else { continue };
            for tid in numbers(tasks.as_fd()).unwrap_or_default() {
                let stat = read(&tasks, &format!("{tid}/stat"), &mut buffer).ok().and_then(|()| texts::stat(&buffer));
                let Some(cpu) = stat.and_then(|stat| stat.cpu) else { continue };
                let now = read(&tasks, &format!("{tid}/schedstat"), &mut buffer).ok();
                let now = now.and_then(|()| texts::run_time(&buffer));
                let run = now.zip(self.ran.get(&(pid, tid))).map(|(now, before)| now.saturating_sub(*before));
                let run = run.map(|run| Nanos::new(i64::try_from(run).unwrap_or(i64::MAX)));
                ran.extend(now.map(|now| ((pid, tid), now)));
                placements.push(Placement { time, pid, tid, cpu, run });
            }
        }
        self.ran = ran;
        placements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (u32, u64) {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        (std::process::id(), texts::stat(&stat).unwrap().start_ticks)
    }

    #[test]
    fn every_thread_is_seen_and_its_run_time_from_the_second_look_on() {
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let (say, said) = std::sync::mpsc::channel();
        let worker = std::thread::spawn(move || {
            let tid = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
            say.send(tid).unwrap();
            // Runs until it is told to end.
            while matches!(told.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {}
        });
        let tid = said.recv().unwrap();
        let mut threads = Threads::open().unwrap();
        let first = threads.look([own()], Timestamp::EPOCH);
        assert!(first.iter().any(|thread| thread.tid == std::process::id()), "{first:?}");
        assert!(first.iter().all(|thread| thread.run.is_none() && thread.cpu < cpus()), "{first:?}");
        let ran = (0..1_000_000).find_map(|_| {
            let next = threads.look([own()], Timestamp::EPOCH);
            let worker = next.into_iter().find(|thread| thread.tid == tid).expect("it runs");
            worker.run.is_none_or(|run| run > Nanos::ZERO).then_some(worker)
        });
        drop(tell);
        worker.join().unwrap();
        assert!(ran.is_some(), "a thread that does nothing but run has run");
    }

    #[test]
    fn another_process_with_the_same_id_is_not_looked_at() {
        let (pid, start_ticks) = own();
        let mut threads = Threads::open().unwrap();
        assert_eq!(threads.look([(pid, start_ticks + 1)], Timestamp::EPOCH), []);
    }
}
