//! A network namespace of our own with sockets in it.

#![allow(dead_code)]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use flowcore::{Collector, FlowEvent, Limit, SocketSample, Status};
use flowsrc_netlink::{Netns, Options, Sockets};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A namespace with loopback up, and a pair of interfaces `fa` and `fb`; gone when this is.
pub struct Namespace {
    pub name: String,
}

fn ip(arguments: &str) -> bool {
    let done =
        Command::new("timeout").args(["20", "ip"]).args(arguments.split_whitespace()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

impl Namespace {
    /// `None`, with the reason printed, where none can be made.
    pub fn new(purpose: &str) -> Option<Self> {
        let name = format!("flowtest-{purpose}-{}", std::process::id());
        if !ip(&format!("netns add {name}")) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: network namespaces need root and `ip`");
            return None;
        }
        let namespace = Self { name };
        let name = &namespace.name;
        for command in [
            format!("-n {name} link set lo up"),
            format!("-n {name} link add fa type veth peer name fb"),
            format!("-n {name} addr add 10.99.0.1/24 dev fa"),
            format!("-n {name} link set fa up"),
            format!("-n {name} link set fb up"),
            format!("-n {name} neigh add 10.99.0.9 lladdr 02:00:00:00:00:09 dev fa"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
        Some(namespace)
    }

    /// A command that runs within, a minute at most.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", "ip", "netns", "exec", &self.name, program]);
        command
    }

    /// Does something on a thread within.
    pub fn spawn<T: Send + 'static>(&self, action: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let door = File::open(format!("/run/netns/{}", self.name)).expect("the namespace has a name");
        std::thread::spawn(move || {
            move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
            action()
        })
    }

    /// The link-local address of `fa`, once it may be used.
    pub fn link_local(&self) -> String {
        for _ in 0..100 {
            let shown = Command::new("ip")
                .args(["-n", &self.name, "-6", "addr", "show", "dev", "fa", "scope", "link"])
                .output();
            let text = String::from_utf8(shown.expect("ip runs").stdout).expect("text");
            if !text.contains("tentative")
                && let Some(address) = text.split_whitespace().skip_while(|word| *word != "inet6").nth(1)
            {
                return address.split('/').next().unwrap_or_default().to_owned();
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("fa has no link-local address");
    }

    /// Sockets of every kind, and what the kernel does not have.
    pub fn actors(&self) -> Option<(Child, String)> {
        // From the program's tests too.
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../flowsrc-netlink/tests/support/sockets.py");
        let mut command = self.command("python3");
        let started = command.arg(script).arg(self.link_local()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = started else {
            let _ = writeln!(std::io::stderr(), "SKIPPED: needs python3");
            return None;
        };
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("read");
        assert!(said.starts_with("ready"), "the script ended early");
        Some((child, said.trim().to_owned()))
    }

    pub fn options(&self) -> Options {
        Options { netns: Netns::One(self.name.clone()), ..Options::default() }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
    }
}

/// Everything that a source gives until its end: samples, and all events.
pub fn all(source: &mut Sockets) -> (Vec<SocketSample>, Vec<FlowEvent>) {
    let (mut samples, mut given) = (Vec::new(), Vec::new());
    let mut events = Vec::new();
    loop {
        // Odd, so that pairs are cut.
        let filled = source.fill(&mut events, Limit { events: 7, ..Limit::default() }).expect("a poll");
        assert!(events.len() <= 7);
        for event in events.drain(..) {
            samples.extend(filled.frames.socket(&event).copied());
            given.push(event);
        }
        if filled.status == Status::End {
            return (samples, given);
        }
    }
}
