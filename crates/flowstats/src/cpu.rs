//! On which CPUs the processes behind connections run: the job of `flow cpu`.
//!
//! [`Cpu`] takes in rounds: one look at every thread of the processes of interest. A process counts once in each round,
//! however many connections it has, and what counts is where its threads ran, all of them: so of an interval of 5 s with
//! a round each 100 ms every process has 50 samples. [`Cpu::spread`] puts the load of connections on these CPUs.

use std::collections::BTreeMap;

use flowcore::Nanos;
use flowcore::placement::Placement;

/// Where one process was.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Residence {
    /// Rounds in which it was seen.
    pub samples: u64,
    /// Samples by CPU; they add up to `samples`. A round in which threads ran on several CPUs is shared by them.
    pub by_cpu: BTreeMap<u32, f64>,
    /// Time that its threads ran, by the CPU on which they were at the end of it; 0 where they slept, empty if not known.
    pub run_by_cpu: BTreeMap<u32, Nanos>,
    /// Most threads at a time.
    pub threads: usize,
}

impl Residence {
    /// Which part of the process' samples was on a CPU, 0 to 1.
    pub fn share(&self, cpu: u32) -> f64 {
        let on = self.by_cpu.get(&cpu).copied().unwrap_or(0.0);
        if self.samples == 0 { 0.0 } else { on / self.samples as f64 }
    }

    /// Takes in one round's threads of the process.
    fn add(&mut self, threads: &[Placement]) {
        self.samples += 1;
        self.threads = self.threads.max(threads.len());
        let ran: i64 = threads.iter().filter_map(|thread| thread.run).map(|run| run.get().max(0)).sum();
        for thread in threads {
            let run = thread.run.map_or(0, |run| run.get().max(0));
            // Where none has run, or it is not known, they count alike where they were last.
            let part = if ran > 0 { run as f64 / ran as f64 } else { 1.0 / threads.len() as f64 };
            if part > 0.0 {
                *self.by_cpu.entry(thread.cpu).or_default() += part;
                // It slept: known to be nothing.
                if thread.run.is_some() {
                    let sum = self.run_by_cpu.entry(thread.cpu).or_default();
                    *sum = Nanos::new(sum.get().saturating_add(run));
                }
            }
        }
    }
}

/// A load by CPU.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Spread {
    /// What falls on each CPU.
    pub by_cpu: BTreeMap<u32, f64>,
    /// What belongs to processes that were not seen to run anywhere.
    pub elsewhere: f64,
}

/// Processes and their CPUs over an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    rounds: u64,
    processes: BTreeMap<u32, Residence>,
}

impl Cpu {
    /// With nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one round: each thread once, in any order.
    pub fn take(&mut self, round: &[Placement]) {
        self.rounds += 1;
        let mut threads = round.to_vec();
        threads.sort_unstable_by_key(|thread| (thread.pid, thread.tid));
        threads.dedup_by_key(|thread| (thread.pid, thread.tid));
        for threads in threads.chunk_by(|a, b| a.pid == b.pid) {
            if let Some(thread) = threads.first() {
                self.processes.entry(thread.pid).or_default().add(threads);
            }
        }
    }

    /// Rounds that were taken in.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Where each process was, by its id.
    pub fn processes(&self) -> &BTreeMap<u32, Residence> {
        &self.processes
    }

    /// Puts loads on CPUs: `loads` has the process of each connection and what the connection carries. On CPU `c` falls,
    /// summed over connections, the share of the process' samples on `c` times the load.
    pub fn spread(&self, loads: impl IntoIterator<Item = (u32, f64)>) -> Spread {
        let mut spread = Spread::default();
        for (pid, load) in loads {
            let Some(residence) = self.processes.get(&pid) else {
                spread.elsewhere += load;
                continue;
            };
            for &cpu in residence.by_cpu.keys() {
                *spread.by_cpu.entry(cpu).or_default() += residence.share(cpu) * load;
            }
        }
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(pid: u32, tid: u32, cpu: u32, run_micros: Option<i64>) -> Placement {
        let run = run_micros.map(|micros| Nanos::new(micros * 1_000));
        Placement { pid, tid, cpu, run, ..Placement::default() }
    }

    #[test]
    fn fact_5_an_interval_of_five_seconds_has_50_samples_of_each_process() {
        let mut cpu = Cpu::new();
        for _ in 0..50 {
            cpu.take(&[thread(7, 7, 0, None), thread(8, 8, 4, None)]);
        }
        assert_eq!(cpu.rounds(), 50);
        assert_eq!(cpu.processes()[&7].by_cpu, BTreeMap::from([(0, 50.0)]));
        assert_eq!(cpu.processes()[&8].by_cpu, BTreeMap::from([(4, 50.0)]));
    }

    #[test]
    fn bug_7_a_process_counts_once_however_often_its_connections_name_it() {
        let mut cpu = Cpu::new();
        // Two connections of one process, so it is named twice.
        cpu.take(&[thread(7, 7, 0, None), thread(7, 7, 0, None)]);
        assert_eq!(cpu.processes()[&7].samples, 1);
        assert_eq!(cpu.processes()[&7].by_cpu, BTreeMap::from([(0, 1.0)]));
    }

    #[test]
    fn a_process_that_slept_ran_for_no_time_where_it_was_last() {
        let mut cpu = Cpu::new();
        cpu.take(&[thread(7, 7, 1, Some(0)), thread(8, 8, 1, None)]);
        assert_eq!(cpu.processes()[&7].by_cpu, BTreeMap::from([(1, 1.0)]));
        assert_eq!(cpu.processes()[&7].run_by_cpu, BTreeMap::from([(1, Nanos::new(0))]));
        assert_eq!(cpu.processes()[&8].run_by_cpu, BTreeMap::new(), "not known");
    }

    #[test]
    fn bug_7_all_threads_count_where_they_ran() {
        let mut cpu = Cpu::new();
        // The main thread sleeps on CPU 0; two workers run.
        cpu.take(&[thread(7, 7, 0, Some(0)), thread(7, 8, 1, Some(300)), thread(7, 9, 2, Some(100))]);
        let residence = &cpu.processes()[&7];
        assert_eq!(residence.by_cpu, BTreeMap::from([(1, 0.75), (2, 0.25)]));
        assert_eq!(residence.run_by_cpu, BTreeMap::from([(1, Nanos::new(300_000)), (2, Nanos::new(100_000))]));
        assert_eq!((residence.samples, residence.threads), (1, 3));
    }

    #[test]
    fn bug_7_all_connections_of_a_process_are_its_load() {
        let mut cpu = Cpu::new();
        cpu.take(&[thread(7, 7, 0, None)]);
        cpu.take(&[thread(7, 7, 3, None)]);
        let spread = cpu.spread([(7, 100.0), (7, 20.0), (9, 5.0)]);
        assert_eq!(spread.by_cpu, BTreeMap::from([(0, 60.0), (3, 60.0)]));
        assert_eq!(spread.elsewhere, 5.0, "nobody has seen process 9");
    }

    #[test]
    fn threads_that_did_not_run_count_alike_where_they_were_last() {
        let mut cpu = Cpu::new();
        cpu.take(&[thread(7, 7, 0, Some(0)), thread(7, 8, 1, Some(0))]);
        assert_eq!(cpu.processes()[&7].by_cpu, BTreeMap::from([(0, 0.5), (1, 0.5)]));
        assert!(cpu.processes()[&7].run_by_cpu.values().all(|ran| ran.get() == 0));
    }
}
