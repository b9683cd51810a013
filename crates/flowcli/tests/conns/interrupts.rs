//! What becomes of what was read when somebody asks to stop.

use std::io::Write;
use std::process::{Command as Process, Stdio};

use crate::{Capture, SHORT};

/// `flow` reading from `input`, once it listens to both signals that ask it to stop.
pub fn listening(input: &str, more: &[&str]) -> std::process::Child {
    use std::time::{Duration, Instant};
    let child = Process::new(assert_cmd::cargo::cargo_bin("flow"))
        .args(["conns", "--columns", SHORT, "-r", input])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !catches_both(&child) {
        assert!(Instant::now() < deadline, "it never came to listen to signals");
        std::thread::yield_now();
    }
    child
}

fn catches_both(child: &std::process::Child) -> bool {
    // Signal n is bit n - 1; the two are registered one after the other.
    const BOTH: u64 = 1 << (2 - 1) | 1 << (15 - 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & BOTH == BOTH
}

fn signal(child: &std::process::Child, name: &str) {
    assert!(Process::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// What `child` printed until it ended; a child that does not end by itself is an error, not a test without end.
pub fn outcome(mut child: std::process::Child) -> std::process::Output {
    use std::time::{Duration, Instant};
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::yield_now();
    }
    child.wait_with_output().unwrap()
}

fn assert_interrupted_with_rows(output: &std::process::Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("10.0.0.4"), "{text}");
    assert!(text.contains("10 packets seen") && text.contains("input incomplete: interrupted by the user"), "{text}");
}

#[test]
fn an_interrupt_prints_what_was_read_so_far() {
    let mut child = listening("-", &[]);
    let mut open = child.stdin.take().unwrap();
    open.write_all(&Capture::web().bytes).unwrap();
    signal(&child, "-INT");
    assert_interrupted_with_rows(&outcome(child));
}

#[test]
fn what_the_writer_of_a_pipe_still_holds_when_both_are_interrupted_is_read() {
    let bytes = Capture::web().bytes;
    // Before anything was written, and in the middle of a packet.
    for written in [0, bytes.len() / 2] {
        let mut child = listening("-", &[]);
        let mut open = child.stdin.take().unwrap();
        open.write_all(&bytes[..written]).unwrap();
        signal(&child, "-INT");
        std::thread::sleep(std::time::Duration::from_millis(100));
        open.write_all(&bytes[written..]).unwrap();
        drop(open);
        let output = outcome(child);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("10 packets seen") && text.contains("input complete"), "{text}");
    }
}

#[test]
fn a_named_pipe_that_falls_silent_ends_with_the_first_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Process::new("mkfifo").arg(&path).status().unwrap().success());
    let child = listening(path.to_str().unwrap(), &[]);
    let mut open = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    open.write_all(&Capture::web().bytes).unwrap();
    // It has taken everything and waits for more.
    let sleeps =
        || std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap().contains("State:\tS (sleeping)");
    while rustix::io::ioctl_fionread(&open).unwrap() > 0 || !sleeps() {
        std::thread::yield_now();
    }
    signal(&child, "-INT");
    assert_interrupted_with_rows(&outcome(child));
}

#[test]
fn a_second_interrupt_ends_the_waiting_for_a_pipe_and_not_the_report() {
    let mut child = listening("-", &[]);
    let mut open = child.stdin.take().unwrap();
    open.write_all(&Capture::web().bytes).unwrap();
    signal(&child, "-INT");
    // Sooner it would be the same wish, told twice.
    std::thread::sleep(std::time::Duration::from_millis(400));
    signal(&child, "-INT");
    assert_interrupted_with_rows(&outcome(child));
    drop(open);
}

#[test]
fn a_named_pipe_without_a_writer_ends_with_the_first_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Process::new("mkfifo").arg(&path).status().unwrap().success());
    let child = listening(path.to_str().unwrap(), &[]);
    signal(&child, "-INT");
    let output = outcome(child);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0));
}

#[test]
fn two_signals_of_one_moment_are_one_wish() {
    // As `timeout` sends them: to its child, then to its whole group. While the process is stopped both become
    // pending, and no step of its own lies between them.
    let mut child = listening("-", &[]);
    let mut open = child.stdin.take().unwrap();
    open.write_all(&Capture::web().bytes).unwrap();
    for name in ["-STOP", "-INT", "-TERM", "-CONT"] {
        signal(&child, name);
    }
    assert_interrupted_with_rows(&outcome(child));
}

#[test]
fn a_later_second_signal_ends_a_process_that_hangs() {
    let mut capture = Capture::new();
    for port in 0..20_000 {
        capture.udp(u32::from(port), [10, 0, 0, 3], 1_000 + port, &[0; 30]);
    }
    // Nobody reads what it prints, which is more than a pipe holds.
    let mut child = listening("-", &["-o", "jsonl"]);
    child.stdin.take().unwrap().write_all(&capture.bytes).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let code = loop {
        signal(&child, "-INT");
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => assert!(std::time::Instant::now() < deadline, "the second signal did not end it"),
        }
    };
    assert_eq!(code, Some(130));
}
