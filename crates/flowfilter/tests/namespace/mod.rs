//! Tests that need a network of their own.

use std::io::Write;
use std::process::Command;

/// Runs the ignored test of this name as the only one in a network namespace of its own.
pub fn in_a_namespace(test: &str) {
    let mut command = Command::new("unshare");
    command.args(["--net", "--"]).arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]);
    let allowed = Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|run| run.status.success());
    if !allowed {
        let _ = std::io::stderr().write_all(b"the kernel is not asked: that needs root and util-linux's unshare\n");
        return;
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
