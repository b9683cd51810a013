//! What /proc/PID says, from text. A process chooses its own name, with blanks, parentheses and newlines in it.

/// What is used of `/proc/PID/stat`, by proc_pid_stat(5).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat<'a> {
    /// As the process set it: any bytes but 0.
    pub comm: &'a [u8],
    /// A thread of the kernel's own; it has no descriptors.
    pub is_kernel: bool,
    /// Id of the process that made it, or took it over.
    pub parent: u32,
    /// When the process began, in clock ticks since the host did.
    pub start_ticks: u64,
    /// On which it is, or ran last; not in what is cut before.
    pub cpu: Option<u32>,
}

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Reads `/proc/PID/stat`: `pid (comm) state ppid …`. `None` if it is not one.
pub(crate) fn stat(text: &[u8]) -> Option<Stat<'_>> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    // Numbers follow, so the last one ends the name, whatever is in it.
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let comm = text.get(open + 1..close)?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // The third field is the first of these.
    let number = |field: usize| rest.split_ascii_whitespace().nth(field - 3)?.parse::<u64>().ok();
    let cpu = number(39).and_then(|cpu| u32::try_from(cpu).ok());
    let parent = u32::try_from(number(4)?).ok()?;
    Some(Stat { comm, is_kernel: number(9)? & KERNEL_THREAD != 0, parent, start_ticks: number(22)?, cpu })
}

/// Nanoseconds that a thread ran: the first number of `/proc/PID/task/TID/schedstat`. `None` where the kernel does not
/// count it, which it says as three zeros: a thread that is there has run once.
pub(crate) fn run_time(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
    let (ran, _waited, times) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (ran > 0 || times > 0).then_some(ran)
}

/// The words of `/proc/PID/cmdline`, with blanks between; `None` if there are none.
pub(crate) fn command_line(text: &[u8]) -> Option<String> {
    let words: Vec<_> = text.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ");
    Some(line.trim_end()).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// The id of a container in the path of its control group: the 64 hexadecimal digits that Docker, containerd, CRI-O and
/// Podman put there, the innermost if there are several.
pub(crate) fn container(cgroup: &str) -> Option<&str> {
    cgroup
        .split(['/', '-', '.', ':'])
        .rfind(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The effective user id in `/proc/PID/status`, where the kernel writes newlines in names as `\n`.
pub(crate) fn effective_uid(text: &[u8]) -> Option<u32> {
    let ids = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    // Real, effective, saved, file system.
    std::str::from_utf8(ids).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The path of the control group in `/proc/PID/cgroup`: of version 2, or where that has none, of version 1's hierarchy that
/// is there to tell services apart.
pub(crate) fn cgroup(text: &[u8]) -> Option<String> {
    let lines = || text.split(|&byte| byte == b'\n');
    let path = lines().find_map(|line| line.strip_prefix(b"0::")).or_else(|| {
        lines().find_map(|line| line.splitn(2, |&byte| byte == b':').nth(1)?.strip_prefix(b"name=systemd:"))
    })?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// The inode of a descriptor's link, if it is a socket: `socket:[12345]`.
pub(crate) fn socket(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    number(digits)
}

/// A process id or descriptor as /proc names it.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(comm: &[u8]) -> Vec<u8> {
        let mut line = b"4321 (".to_vec();
        line.extend_from_slice(comm);
        line.extend_from_slice(
            b") S 1 4321 4321 0 -1 4194560 108 0 0 0 3 4 0 0 20 0 1 0 8765 8192000 220 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n",
        );
        line
    }

    #[test]
    fn no_name_hides_or_forges_the_fields_behind_it() {
        for comm in ["nginx", "", "a b", "(sd-pam)", ") S 1 1 1", "a\nb", "))((", ") R 1 2 3 (x"] {
            let line = line(comm.as_bytes());
            let expected = Stat { comm: comm.as_bytes(), is_kernel: false, parent: 1, start_ticks: 8765, cpu: Some(1) };
            assert_eq!(stat(&line), Some(expected), "{comm:?}");
        }
    }

    #[test]
    fn a_thread_of_the_kernel_is_known_by_its_flag() {
        let text = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0";
        let expected = Stat { comm: b"kthreadd", is_kernel: true, parent: 0, start_ticks: 5, cpu: None };
        assert_eq!(stat(text), Some(expected));
    }

    #[test]
    fn what_is_cut_is_not_read() {
        let whole = line(b"a) (b");
        let ticks = whole.windows(5).position(|part| part == b"8765 ").unwrap();
        for length in 0..ticks {
            assert_eq!(stat(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_effective_user_is_the_second_and_no_name_forges_it() {
        let text = b"Name:\tx\\nUid:\t0\t0\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t5\t5\t5\n";
        assert_eq!(effective_uid(text), Some(1001));
        assert_eq!(effective_uid(b"Name:\tUid:\n"), None);
    }

    #[test]
    fn a_control_group_is_that_of_version_2_or_of_systemd() {
        assert_eq!(cgroup(b"0::/system.slice/a:b.service\n").as_deref(), Some("/system.slice/a:b.service"));
        let mixed = b"5:cpu,cpuacct:/x\n1:name=systemd:/y\n0::/z\n";
        assert_eq!(cgroup(mixed).as_deref(), Some("/z"));
        assert_eq!(cgroup(b"5:cpu,cpuacct:/x\n1:name=systemd:/y\n").as_deref(), Some("/y"));
        assert_eq!(cgroup(b"5:cpu:/x\n"), None);
    }

    #[test]
    fn only_sockets_have_an_inode_here() {
        assert_eq!(socket(b"socket:[4294967295]"), Some(u32::MAX));
        for other in ["pipe:[7]", "socket:[7", "socket:[+7]", "socket:[]", "socket:[4294967296]", "/tmp/socket:[7]"] {
            assert_eq!(socket(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn run_time_is_unknown_where_nothing_is_counted() {
        assert_eq!(run_time(b"123456 7 8\n"), Some(123_456));
        assert_eq!(run_time(b"0 5 1\n"), Some(0));
        assert_eq!(run_time(b"0 0 0\n"), None);
        assert_eq!(run_time(b"12"), None);
    }

    #[test]
    fn a_command_line_is_its_words() {
        assert_eq!(command_line(b"nc\0-l\0a b\0").as_deref(), Some("nc -l a b"));
        assert_eq!(command_line(b""), None);
    }

    #[test]
    fn a_container_is_known_by_its_control_group() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container(&path), Some(&*id), "{path}");
        }
        assert_eq!(container("/user.slice/user-1000.slice/session-1.scope"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (stat(&text), effective_uid(&text), cgroup(&text), socket(&text), run_time(&text), command_line(&text));
        }
    }
}
