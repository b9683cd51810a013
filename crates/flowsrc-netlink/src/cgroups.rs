//! Control groups by their ids: a socket says only the id, which is the inode of a directory.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Directories that are looked at, at most.
const MOST: usize = 65_536;

/// Paths of control groups (version 2), looked up in the mounted hierarchy when first asked for.
#[derive(Debug, Default)]
pub struct Cgroups {
    /// `None`: looked for and not found.
    paths: HashMap<u64, Option<Arc<str>>>,
}

impl Cgroups {
    /// The path of the group with this id, from the root of the hierarchy on; `None` if no hierarchy of version 2 is
    /// mounted here, or it has no such group: it is gone, or outside of what this container sees.
    pub fn path(&mut self, id: u64) -> Option<Arc<str>> {
        if let Some(known) = self.paths.get(&id) {
            return known.clone();
        }
        if let Some(root) = mounted() {
            self.walk(&root);
        }
        self.paths.entry(id).or_default().clone()
    }

    fn walk(&mut self, root: &Path) {
        let mut rest = vec![root.to_owned()];
        let mut seen = 0;
        while let Some(directory) = rest.pop().filter(|_| seen < MOST) {
            seen += 1;
            let Ok(meta) = fs::metadata(&directory) else { continue };
            let below = directory.strip_prefix(root).unwrap_or(Path::new(""));
            self.paths.insert(meta.ino(), Some(format!("/{}", below.display()).into()));
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            rest.extend(
                entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
            );
        }
    }
}

/// Where the hierarchy of version 2 is mounted, by /proc/self/mountinfo: `ID PARENT DEVICE ROOT MOUNT … - TYPE …`.
fn mounted() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    mounts.lines().find_map(mount).map(PathBuf::from)
}

fn mount(line: &str) -> Option<&str> {
    let (place, kind) = line.split_once(" - ")?;
    let place = place.split(' ').nth(4)?;
    (kind.split(' ').next() == Some("cgroup2")).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_version_2_has_ids_of_sockets() {
        let lines = [
            "35 30 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu",
            "36 30 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate",
        ];
        assert_eq!(lines.map(mount), [None, Some("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn a_directory_is_found_by_its_inode() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("system.slice/a.service");
        fs::create_dir_all(&inner).unwrap();
        let mut cgroups = Cgroups::default();
        cgroups.walk(root.path());
        assert_eq!(cgroups.path(fs::metadata(&inner).unwrap().ino()).as_deref(), Some("/system.slice/a.service"));
        assert_eq!(cgroups.path(fs::metadata(root.path()).unwrap().ino()).as_deref(), Some("/"));
        assert_eq!(cgroups.path(u64::MAX), None);
    }
}
