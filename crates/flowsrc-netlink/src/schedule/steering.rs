//! Which CPUs take an interface's interrupts (IRQ affinity), and on which its packets are processed (RPS, XPS).
//!
//! Documentation/networking/scaling.rst of the kernel has the mechanisms.

use std::fs;
use std::path::{Path, PathBuf};

/// What a CPU does for an interface.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes the interrupt of this number.
    Interrupt(u32),
    /// Processes what came in by the queue, which another CPU took from the device.
    ReceiveSteering,
    /// Sends by the queue.
    TransmitSteering,
}

impl Role {
    /// As administrators call it: `irq 38`, `rps`, `xps`.
    pub fn name(self) -> String {
        match self {
            Self::Interrupt(number) => format!("irq {number}"),
            Self::ReceiveSteering => "rps".to_owned(),
            Self::TransmitSteering => "xps".to_owned(),
        }
    }
}

/// CPUs that do something for an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of the interface.
    pub interface: String,
    /// Of the queue (`rx-0`), or of the interrupt as its driver calls it (`eth0-TxRx-3`).
    pub name: String,
    /// What they do.
    pub role: Role,
    /// By the kernel's numbers, rising.
    pub cpus: Vec<u32>,
}

/// What CPUs do for the interfaces that this /sys shows: those of the network namespace in which it was mounted. A queue
/// without steering is not there: whoever takes its interrupt, or sends, processes its packets.
pub fn services() -> Vec<Service> {
    within(Path::new("/sys"), Path::new("/proc"))
}

fn within(sys: &Path, proc: &Path) -> Vec<Service> {
    let mut services = Vec::new();
    let interrupts = fs::read_to_string(proc.join("interrupts")).unwrap_or_default();
    for interface in names(sys.join("class/net")) {
        let place = sys.join("class/net").join(&interface);
        for (number, name) in interrupts_of(&place, &interface, &interrupts) {
            let affinity = |file: &str| fs::read_to_string(proc.join(format!("irq/{number}/{file}"))).ok();
            // Where the kernel does not say which it chose, those that it may choose.
            let cpus = affinity("effective_affinity_list").map(|text| list(&text)).filter(|cpus| !cpus.is_empty());
            let cpus = cpus.or_else(|| affinity("smp_affinity_list").map(|text| list(&text))).unwrap_or_default();
            services.push(Service { interface: interface.clone(), name, role: Role::Interrupt(number), cpus });
        }
        for queue in names(place.join("queues")) {
            for (file, role) in [("rps_cpus", Role::ReceiveSteering), ("xps_cpus", Role::TransmitSteering)] {
                let text = fs::read_to_string(place.join("queues").join(&queue).join(file)).unwrap_or_default();
                let cpus = mask(&text);
                if !cpus.is_empty() {
                    services.push(Service { interface: interface.clone(), name: queue.clone(), role, cpus });
                }
            }
        }
    }
    services
}

/// Numbers of an interface's interrupts, with the names that the driver gave them.
fn interrupts_of(place: &Path, interface: &str, interrupts: &str) -> Vec<(u32, String)> {
    let device = fs::canonicalize(place.join("device")).unwrap_or_default();
    let mut folders = vec![device.join("msi_irqs")];
    // A virtio device is the only one of the PCI function above it.
    if device.file_name().is_some_and(|name| name.to_string_lossy().starts_with("virtio")) {
        folders.extend(device.parent().map(|parent| parent.join("msi_irqs")));
    }
    let of_device: Vec<u32> = folders.iter().flat_map(names).filter_map(|name| name.parse().ok()).collect();
    let lines = interrupts.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        Some((number.trim().parse().ok()?, rest.split_ascii_whitespace().next_back()?))
    });
    // A driver that has no folder there names its interrupts after the interface: `eth0`, `eth0-TxRx-3`.
    let is_named = |name: &str| {
        name.strip_prefix(interface).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':', '.', '@']))
    };
    let is_its = |number: u32, name: &str| of_device.contains(&number) || (of_device.is_empty() && is_named(name));
    lines.filter(|&(number, name)| is_its(number, name)).map(|(number, name)| (number, name.to_owned())).collect()
}

/// What is in a folder, in order; nothing if it is none.
fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

/// The CPUs in `0-3,8`.
fn list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            // No kernel has more (NR_CPUS).
            cpus.extend((first..=last).take(8192));
        }
    }
    cpus
}

/// The CPUs in a hexadecimal mask, in words of 32 bits with the highest first: `00000001,00000003`.
fn mask(text: &str) -> Vec<u32> {
    let digits = text.trim().bytes().rev().filter(|&digit| digit != b',');
    let bits = digits.map(|digit| char::from(digit).to_digit(16).unwrap_or(0)).zip((0..).step_by(4));
    bits.flat_map(|(bits, first)| (0..4).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| first + bit)).collect()
}

/// How many CPUs there are by the kernel's highest number.
pub fn cpus() -> u32 {
    let present = fs::read_to_string(PathBuf::from("/sys/devices/system/cpu/present")).unwrap_or_default();
    list(&present).last().map_or(1, |last| last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn lists_and_masks_are_cpus() {
        assert_eq!(list("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(list("\n"), [0; 0]);
        assert_eq!(mask("00000001,00000003\n"), [0, 1, 32]);
        assert_eq!(mask("f\n"), [0, 1, 2, 3]);
        assert_eq!(mask("00000000,00000000\n"), [0; 0]);
    }

    #[test]
    fn bug_9_queues_of_the_same_number_are_those_of_their_interfaces() {
        let root = tempfile::tempdir().unwrap();
        let (sys, proc) = (root.path().join("sys"), root.path().join("proc"));
        for (interface, cpus) in [("bond0", "1"), ("eth0", "2"), ("lo", "4")] {
            write(sys.join(format!("class/net/{interface}/queues/tx-0/xps_cpus")), cpus);
        }
        let found: Vec<_> =
            within(&sys, &proc).into_iter().map(|service| (service.interface, service.name, service.cpus)).collect();
        let queue = |interface: &str, cpu| (interface.to_owned(), "tx-0".to_owned(), vec![cpu]);
        assert_eq!(found, [queue("lo", 2), queue("eth0", 1), queue("bond0", 0)]);
    }

    #[test]
    fn an_interfaces_cpus_are_those_of_its_interrupts_and_its_steering() {
        let root = tempfile::tempdir().unwrap();
        let (sys, proc) = (root.path().join("sys"), root.path().join("proc"));
        // eth0 is a virtio device: its interrupts are those of the function above it. eth1's driver names them.
        let device = sys.join("devices/pci0/03.0/virtio2");
        write(device.parent().unwrap().join("msi_irqs/38"), "msix\n");
        write(device.join("net/eth0/queues/rx-0/rps_cpus"), "00000000,00000006\n");
        write(device.join("net/eth0/queues/tx-0/xps_cpus"), "0\n");
        write(sys.join("class/net/eth1/queues/tx-0/xps_cpus"), "1\n");
        std::os::unix::fs::symlink(device.join("net/eth0"), sys.join("class/net/eth0")).unwrap();
        std::os::unix::fs::symlink(&device, device.join("net/eth0/device")).unwrap();
        write(
            proc.join("interrupts"),
            "      CPU0 CPU1\n 37: 0 0 PCI-MSIX 0-edge eth10\n 38: 0 9 PCI-MSIX 1-edge virtio2-input.0\n 40: 1 0 PCI-MSIX 2-edge eth1-TxRx-0\nLOC: 7 7 Local timer interrupts\n",
        );
        write(proc.join("irq/38/effective_affinity_list"), "1\n");
        write(proc.join("irq/38/smp_affinity_list"), "0-1\n");
        write(proc.join("irq/40/effective_affinity_list"), "\n");
        write(proc.join("irq/40/smp_affinity_list"), "0,3\n");
        let service = |interface: &str, name: &str, role, cpus: &[u32]| Service {
            interface: interface.into(),
            name: name.into(),
            role,
            cpus: cpus.to_vec(),
        };
        let expected = [
            service("eth0", "virtio2-input.0", Role::Interrupt(38), &[1]),
            service("eth0", "rx-0", Role::ReceiveSteering, &[1, 2]),
            service("eth1", "eth1-TxRx-0", Role::Interrupt(40), &[0, 3]),
            service("eth1", "tx-0", Role::TransmitSteering, &[0]),
        ];
        assert_eq!(within(&sys, &proc), expected);
    }
}
