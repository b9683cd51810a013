//! Where the public captures are, for the tests of every crate.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Their folder: `FLOW_CAPTURES`, else `../shared/captures` beside the workspace. `None`, said aloud, if `part` of it
/// is not there.
pub fn captures(part: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = std::env::var_os("FLOW_CAPTURES").map_or(beside, PathBuf::from);
    if folder.join(part).exists() {
        return Some(folder);
    }
    // Not by a macro, whose words a passing test would keep to itself.
    let shown = folder.display();
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {part} in {shown}; FLOW_CAPTURES names the captures' folder");
    None
}
