//! Owners of sockets that are made here: by this process, inherited by another, closed. Needs no privilege.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowsrc_netlink::process::{Evidence, Owner, Processes};
use rustix::fs::fstat;

fn inode(socket: impl AsFd) -> u32 {
    u32::try_from(fstat(socket).expect("a descriptor").st_ino).expect("32 bits")
}

/// A process that ends with this.
struct Heir(Child);

impl Heir {
    /// One that has the socket as its standard input, and the name of its program.
    fn new(program: impl AsRef<Path>, socket: impl AsFd) -> Self {
        let copy = socket.as_fd().try_clone_to_owned().expect("a descriptor");
        Self(Command::new(program.as_ref()).arg("60").stdin(copy).spawn().expect("the program runs"))
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A child has everything that this process has for a moment, so only one test at a time may make one.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owners(processes: &Processes, inode: u32) -> (Evidence, Vec<(u32, String)>) {
    let owners = processes.owners(inode);
    (owners.evidence, owners.iter().map(|owner| (owner.pid, owner.name.to_string())).collect())
}

fn own() -> (u32, String) {
    let comm = std::fs::read_to_string("/proc/self/comm").expect("/proc");
    (std::process::id(), comm.trim_end_matches('\n').to_owned())
}

#[test]
fn a_listener_is_held_by_the_process_that_made_it() {
    let _alone = alone();
    let (listener, local) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixDatagram::unbound().unwrap());
    let mut processes = Processes::open().unwrap();
    processes.find([inode(&listener), inode(&local)]).unwrap();
    assert_eq!(owners(&processes, inode(&listener)), (Evidence::Exact, vec![own()]));
    assert_eq!(owners(&processes, inode(&local)), (Evidence::Exact, vec![own()]));

    let Owner { pid, start_ticks, uid, cgroup, .. } = processes.owners(inode(&listener)).iter().next().unwrap().clone();
    assert_eq!(uid, Some(rustix::process::geteuid().as_raw()));
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(cgroup.is_none_or(|cgroup| groups.contains(&format!(":{cgroup}\n"))), "{groups}");
    // `ps` says since when in seconds; the host started before this process did.
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    assert!(pid == std::process::id() && start_ticks > 0 && start_ticks as f64 <= uptime * 100.0 + 100.0);
}

#[test]
fn one_that_a_child_inherited_has_two_owners_until_the_child_ends() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let heir = Heir::new("sleep", &listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    let mut both = vec![own(), (heir.0.id(), "sleep".to_owned())];
    both.sort();
    assert_eq!(owners(&processes, inode), (Evidence::Inherited, both));
    let holders = processes.owners(inode).holders();
    let descriptors: Vec<_> = holders.iter().map(|holder| (holder.owner.pid, holder.descriptor)).collect();
    let own = u32::try_from(listener.as_raw_fd()).unwrap();
    assert_eq!(descriptors, [(std::process::id(), own), (heir.0.id(), 0)], "the oldest first");

    drop(heir);
    processes.refresh().unwrap();
    assert_eq!(owners(&processes, inode), (Evidence::Exact, vec![self::own()]));
}

#[test]
fn two_that_are_not_each_others_children_share_a_socket() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let heirs = [Heir::new("sleep", &listener), Heir::new("sleep", &listener)];
    drop(listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    let held = processes.owners(inode);
    assert_eq!((held.evidence, held.iter().count()), (Evidence::Shared, heirs.len()));
}

#[test]
fn two_descriptors_of_one_process_are_one_holder() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let copy = listener.try_clone().unwrap();
    let mut processes = Processes::open().unwrap();
    processes.find([inode(&listener)]).unwrap();
    assert_eq!(owners(&processes, inode(&listener)), (Evidence::Exact, vec![own()]));
    let mut both = [listener.as_raw_fd(), copy.as_raw_fd()].map(|descriptor| u32::try_from(descriptor).unwrap());
    both.sort();
    let holders = processes.owners(inode(&listener)).holders();
    assert_eq!(holders.iter().map(|holder| holder.descriptor).collect::<Vec<_>>(), both);
}

#[test]
fn what_was_passed_on_is_no_longer_held_by_whom_it_came_from() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    let heir = Heir::new("sleep", &listener);
    drop(listener);
    // The socket is known already, so nothing new makes it look.
    processes.refresh().unwrap();
    processes.find([inode]).unwrap();
    assert_eq!(owners(&processes, inode), (Evidence::Exact, vec![(heir.0.id(), "sleep".to_owned())]));
}

#[test]
fn a_closed_one_is_gone() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    assert_eq!(processes.owners(inode).evidence, Evidence::Exact);
    drop(listener);
    processes.refresh().unwrap();
    let nobody = if processes.degraded().is_some() { Evidence::NotPermitted } else { Evidence::Gone };
    assert_eq!(owners(&processes, inode), (nobody, vec![]));
    // The kernel's notice of its end comes later.
    let last =
        |processes: &Processes| processes.last_holders(inode).iter().map(|last| last.owner.pid).collect::<Vec<_>>();
    assert_eq!(last(&processes), [std::process::id()]);
    for _ in 0..8 {
        processes.refresh().unwrap();
    }
    assert_eq!(last(&processes), [0; 0], "not for ever");
}

#[test]
fn a_descriptor_that_was_closed_is_missed_also_where_another_is_opened() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    assert_eq!(owners(&processes, inode), (Evidence::Exact, vec![own()]));
    drop(listener);
    let _as_many = std::fs::File::open("/dev/null").unwrap();
    // Not at once where others hold thousands.
    for _ in 0..50 {
        processes.refresh().unwrap();
        if owners(&processes, inode).1.is_empty() {
            return;
        }
    }
    panic!("held for ever: {:?}", owners(&processes, inode));
}

#[test]
fn a_new_one_is_found_without_a_refresh() {
    let _alone = alone();
    let mut processes = Processes::open().unwrap();
    processes.find([1]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    processes.find([1, inode(&listener)]).unwrap();
    assert_eq!(owners(&processes, inode(&listener)), (Evidence::Exact, vec![own()]));
}

#[test]
fn a_hostile_name_is_that_of_its_process_all_the_same() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("x) R 1 (\ny");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let heir = Heir::new(&program, &listener);
    drop(listener);
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    assert_eq!(owners(&processes, inode), (Evidence::Exact, vec![(heir.0.id(), "x) R 1 (\ny".to_owned())]));
}

#[test]
fn one_whose_first_thread_has_ended_is_held_by_the_others() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let inode = inode(&listener);
    // exit(2) ends the calling thread alone.
    let script = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); \
                  print(flush=True); ctypes.CDLL(None).syscall(60, 0)";
    let mut command = Command::new("python3");
    let copy = listener.as_fd().try_clone_to_owned().unwrap();
    command.args(["-c", script]).stdin(copy).stdout(std::process::Stdio::piped());
    let Ok(child) = command.spawn() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no python3");
        return;
    };
    let heir = Heir(child);
    drop((command, listener));
    let status = format!("/proc/{}/status", heir.0.id());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !std::fs::read_to_string(&status).unwrap().contains("State:\tZ") {
        assert!(std::time::Instant::now() < until, "its first thread has not ended");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut processes = Processes::open().unwrap();
    processes.find([inode]).unwrap();
    let (evidence, found) = owners(&processes, inode);
    assert_eq!((evidence, found.iter().map(|(pid, _)| *pid).collect::<Vec<_>>()), (Evidence::Exact, vec![heir.0.id()]));
}

#[test]
fn processes_and_descriptors_are_those_of_ss() {
    if Command::new("ss").arg("-V").output().is_err() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: no `ss`");
        return;
    }
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let heir = Heir::new("sleep", &listener);
    let said = Command::new("ss").args(["-tlnpeH"]).output().expect("ss runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let mut compared = Vec::new();
    let mut processes = Processes::open().unwrap();
    for line in said.lines() {
        let word = |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name));
        let Some(inode) = word("ino:").and_then(|inode| inode.parse().ok()) else { continue };
        // users:(("sleep",pid=4,fd=0))
        let number = |text: Option<&str>| text?.split([',', ')']).next()?.parse().ok();
        let holder = |rest: &str| Some((number(Some(rest))?, number(rest.split_once("fd=").map(|(_, fd)| fd))?));
        let theirs: BTreeSet<(u32, u32)> = line.split("pid=").skip(1).filter_map(holder).collect();
        processes.find([inode]).unwrap();
        let holders = processes.owners(inode).holders();
        let ours: BTreeSet<(u32, u32)> = holders.iter().map(|holder| (holder.owner.pid, holder.descriptor)).collect();
        compared.push((inode, theirs, ours));
    }
    let own = u32::try_from(listener.as_raw_fd()).unwrap();
    let both = BTreeSet::from([(std::process::id(), own), (heir.0.id(), 0)]);
    assert!(compared.contains(&(inode(&listener), both.clone(), both)), "{said}");
    // Listeners of other processes may come and go meanwhile; a pid of ours that ss denies must not be.
    for (inode, theirs, ours) in compared {
        assert!(ours.is_empty() || ours == theirs, "{inode}: {ours:?}, not {theirs:?}");
    }
}
