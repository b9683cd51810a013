//! Classic BPF for packet sockets (Linux: `SO_ATTACH_FILTER`; the instructions are those of McCanne and Jacobson 1993).
//!
//! The program decides plain frames exactly: IPv4 and IPv6 with TCP, UDP, SCTP or ICMP directly behind, and ARP. Every
//! other frame passes — tags, labels, tunnels, extension headers, fragments, anything cut or odd — because the exact
//! filter reads what a classic program cannot walk. A tag that the kernel has taken out of the frame changes nothing:
//! what is left is plain.
//!
//! A load beyond a frame ends a classic program with "drop", so every load stands behind a check of the lengths. They
//! are those of the wire: the program is for frames that are there as a whole, as packet sockets have them.

use flowcore::wire::LinkType;

use crate::ast::{Condition, Expr, Subject, Test};
use crate::field::{Field, Kind};
use crate::plan::passing;
use crate::set::{Ranges, prefixes};
use crate::widen;

/// One instruction, as `struct sock_filter` has it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions skipped if the condition holds.
    pub jt: u8,
    /// Instructions skipped if it does not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

/// The largest program that Linux takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Ranges of one test at most; a longer list is left to the exact filter.
const MAX_RANGES: usize = 64;
/// What a program returns to let a frame pass: all of its bytes.
const PASS: u32 = u32::MAX;

const LD_WORD: u16 = 0x20;
const LD_HALF: u16 = 0x28;
const LD_BYTE: u16 = 0x30;
const LD_HALF_X: u16 = 0x48;
const LD_BYTE_X: u16 = 0x50;
const LD_LEN: u16 = 0x80;
const LDX_HEADER: u16 = 0xb1;
const AND: u16 = 0x54;
const SUB_X: u16 = 0x1c;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const JGE: u16 = 0x35;
const JGT_X: u16 = 0x2d;
const RET: u16 = 0x06;

/// Ports at which UDP carries tunnels that are opened.
const TUNNEL_PORTS: [u32; 7] = [2152, 3544, 4789, 4790, 5072, 6081, 8472];

/// What a frame is found to be.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Class {
    V4,
    V6,
    /// No IP header.
    Other,
}

/// A place to jump to, known when it is reached.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Label(usize);

struct Code {
    instructions: Vec<Instruction>,
    /// `targets[label]`, once placed.
    targets: Vec<Option<usize>>,
    /// Instruction and the label it jumps to.
    jumps: Vec<(usize, Label)>,
    /// Bytes before the network header.
    link: u32,
    /// Where the ethertype is, of links that have one.
    ethertype_at: Option<u32>,
    pass: Label,
}

impl Code {
    fn label(&mut self) -> Label {
        self.targets.push(None);
        Label(self.targets.len() - 1)
    }

    fn place(&mut self, label: Label) {
        self.targets[label.0] = Some(self.instructions.len());
    }

    fn emit(&mut self, code: u16, k: u32) {
        self.instructions.push(Instruction { code, jt: 0, jf: 0, k });
    }

    fn go(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(JA, 0);
    }

    /// Goes to `yes` if the accumulator compares so with `k`, else on. Long jumps only: a conditional one reaches 255
    /// instructions.
    fn when(&mut self, code: u16, k: u32, yes: Label) {
        self.instructions.push(Instruction { code, jt: 0, jf: 1, k });
        self.go(yes);
    }

    /// The same if it does not.
    fn unless(&mut self, code: u16, k: u32, no: Label) {
        self.instructions.push(Instruction { code, jt: 1, jf: 0, k });
        self.go(no);
    }

    /// Whether the accumulator is in one of the ranges.
    fn ranges(&mut self, ranges: &Ranges, yes: Label, no: Label) {
        for &(low, high) in ranges.as_slice() {
            let (Ok(low), high) = (u32::try_from(low), u32::try_from(high).unwrap_or(u32::MAX)) else { continue };
            if low == high {
                self.when(JEQ, low, yes);
                continue;
            }
            let next = self.label();
            self.unless(JGE, low, next);
            self.unless(JGT, high, yes);
            self.place(next);
        }
        self.go(no);
    }

    fn expr(&mut self, expr: &Expr, class: Class, yes: Label, no: Label) {
        match expr {
            Expr::All => self.go(yes),
            Expr::None => self.go(no),
            Expr::Not(inner) => self.expr(inner, class, no, yes),
            Expr::And(all) => {
                for one in all {
                    let next = self.label();
                    self.expr(one, class, next, no);
                    self.place(next);
                }
                self.go(yes);
            }
            Expr::Or(all) => {
                for one in all {
                    let next = self.label();
                    self.expr(one, class, yes, next);
                    self.place(next);
                }
                self.go(no);
            }
            Expr::Test(Test { subject: Subject::One(field), condition }) => {
                self.test(*field, condition, class, yes, no);
            }
            Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
                let [src, dst] = pair.fields();
                let next = self.label();
                // Of a pair, "not this one" is said of both.
                if matches!(condition, Condition::NotIn(_)) {
                    self.test(src, condition, class, next, no);
                } else {
                    self.test(src, condition, class, yes, next);
                }
                self.place(next);
                self.test(dst, condition, class, yes, no);
            }
        }
    }

    /// Loads the protocol; only of frames that have one.
    fn protocol(&mut self, class: Class) {
        self.emit(LD_BYTE, self.link + if class == Class::V4 { 9 } else { 6 });
    }

    /// Loads from the transport header.
    fn transport(&mut self, half: bool, offset: u32, class: Class) {
        // X holds the length of the IPv4 header.
        match (class, half) {
            (Class::V4, true) => self.emit(LD_HALF_X, self.link + offset),
            (Class::V4, false) => self.emit(LD_BYTE_X, self.link + offset),
            (_, true) => self.emit(LD_HALF, self.link + 40 + offset),
            (_, false) => self.emit(LD_BYTE, self.link + 40 + offset),
        }
    }

    fn test(&mut self, field: Field, condition: &Condition, class: Class, yes: Label, no: Label) {
        let wanted = passing(field, condition);
        if field == Field::Length {
            self.emit(LD_LEN, 0);
            return self.ranges(&wanted, yes, no);
        }
        if field == Field::Ethertype {
            let known = match class {
                Class::V4 => 0x0800,
                Class::V6 => 0x86dd,
                Class::Other => {
                    self.emit(LD_HALF, self.ethertype_at.unwrap_or(0));
                    return self.ranges(&wanted, yes, no);
                }
            };
            return self.go(if wanted.contains(known) { yes } else { no });
        }
        if class == Class::Other {
            return self.go(no);
        }
        let icmp = if class == Class::V4 { 1 } else { 58 };
        match field {
            Field::Version => {
                let version = if class == Class::V4 { 4 } else { 6 };
                self.go(if wanted.contains(version) { yes } else { no });
            }
            Field::Proto => {
                self.protocol(class);
                self.ranges(&wanted, yes, no);
            }
            Field::SrcPort | Field::DstPort => {
                self.protocol(class);
                self.when(JEQ, icmp, no);
                self.transport(true, if field == Field::SrcPort { 0 } else { 2 }, class);
                self.ranges(&wanted, yes, no);
            }
            Field::IcmpType | Field::IcmpCode => {
                self.protocol(class);
                self.unless(JEQ, icmp, no);
                self.transport(false, u32::from(field == Field::IcmpCode), class);
                self.ranges(&wanted, yes, no);
            }
            Field::TcpFlags => {
                let Condition::Flags { set, of } = *condition else { return self.go(yes) };
                self.protocol(class);
                self.unless(JEQ, 6, no);
                self.transport(true, 12, class);
                self.emit(AND, u32::from(of & 0xfff));
                self.when(JEQ, u32::from(set), yes);
                self.go(no);
            }
            // Everything but one address is up to 128 prefixes: the address is looked for instead. Both headers have one.
            Field::SrcAddr | Field::DstAddr if matches!(condition, Condition::NotIn(_)) => {
                self.test(field, &looked_for(condition), class, no, yes);
            }
            Field::SrcAddr | Field::DstAddr => {
                let is_src = field == Field::SrcAddr;
                if class == Class::V4 {
                    let v4 = wanted.intersection(&Ranges::new([(0xffff_0000_0000, 0xffff_ffff_ffff)]));
                    let short = v4.as_slice().iter().map(|&(low, high)| (low & 0xffff_ffff, high & 0xffff_ffff));
                    self.emit(LD_WORD, self.link + if is_src { 12 } else { 16 });
                    self.ranges(&Ranges::new(short), yes, no);
                } else {
                    self.addr6(&wanted, self.link + if is_src { 8 } else { 24 }, yes, no);
                }
            }
            // Widening has left no others.
            _ => self.go(self.pass),
        }
    }

    /// An IPv6 address against prefixes, word by word.
    fn addr6(&mut self, wanted: &Ranges, at: u32, yes: Label, no: Label) {
        for &(low, high) in wanted.as_slice() {
            for prefix in prefixes(low, high) {
                // An IPv6 header may hold mapped IPv4 addresses, which are IPv4 addresses.
                let mapped = if prefix.network().is_v4() { 96 } else { 0 };
                let network = u128::from_be_bytes(*prefix.network().octets());
                let next = self.label();
                for word in 0..4_u32 {
                    let bits = (u32::from(prefix.bits()) + mapped).saturating_sub(word * 32).min(32);
                    if bits == 0 {
                        break;
                    }
                    self.emit(LD_WORD, at + word * 4);
                    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                    if mask != u32::MAX {
                        self.emit(AND, mask);
                    }
                    let value = (network >> (96 - word * 32)) as u32;
                    self.unless(JEQ, value & mask, next);
                }
                self.go(yes);
                self.place(next);
            }
        }
        self.go(no);
    }

    /// Passes frames whose transport header is not there as a whole, or that may be tunnels. `claimed` loads what the IP
    /// header says follows it.
    fn check_transport(&mut self, class: Class, drop: Label, expr: &Expr) {
        let begin = self.label();
        for (protocol, bytes) in [(6, 20), (17, 8), (132, 12), (if class == Class::V4 { 1 } else { 58 }, 8)] {
            let next = self.label();
            self.protocol(class);
            self.unless(JEQ, protocol, next);
            // By the header's own length.
            if class == Class::V4 {
                self.emit(LD_HALF, self.link + 2);
                self.unless(JGT_X, 0, self.pass);
                self.emit(SUB_X, 0);
            } else {
                self.emit(LD_HALF, self.link + 4);
            }
            self.unless(JGE, bytes, self.pass);
            // By the frame's.
            self.emit(LD_LEN, 0);
            if class == Class::V4 {
                self.unless(JGT_X, 0, self.pass);
                self.emit(SUB_X, 0);
            }
            let fixed = self.link + bytes + if class == Class::V4 { 0 } else { 40 };
            self.unless(JGE, fixed, self.pass);
            if protocol == 17 {
                for offset in [0, 2] {
                    self.transport(true, offset, class);
                    for port in TUNNEL_PORTS {
                        self.when(JEQ, port, self.pass);
                    }
                }
            }
            self.go(begin);
            self.place(next);
        }
        // Any other protocol.
        self.go(self.pass);
        self.place(begin);
        self.expr(expr, class, self.pass, drop);
    }

    fn finish(mut self) -> Option<Vec<Instruction>> {
        for &(at, label) in &self.jumps {
            let target = self.targets.get(label.0).copied().flatten()?;
            let skipped = target.checked_sub(at + 1)?;
            self.instructions.get_mut(at)?.k = u32::try_from(skipped).ok()?;
        }
        (self.instructions.len() <= MAX_INSTRUCTIONS).then_some(self.instructions)
    }
}

/// The values that a condition names, whether it wants them or not.
fn looked_for(condition: &Condition) -> Condition {
    match condition {
        Condition::NotIn(items) => Condition::In(items.clone()),
        other => other.clone(),
    }
}

/// Whether a test can be said in a program.
fn is_known(test: &Test) -> bool {
    let field = test.subject.first();
    let known = matches!(
        field,
        Field::Version
            | Field::Ethertype
            | Field::Proto
            | Field::SrcAddr
            | Field::SrcPort
            | Field::DstAddr
            | Field::DstPort
            | Field::IcmpType
            | Field::IcmpCode
            | Field::TcpFlags
            | Field::Length
    );
    // More bytes than 32 bits can count are left to the exact filter, as are long lists.
    let passing = match field.kind() {
        Kind::Addr if known => passing(field, &looked_for(&test.condition)),
        _ if known => passing(field, &test.condition),
        _ => Ranges::default(),
    };
    let small = field.kind() != Kind::Bytes || passing.as_slice().iter().all(|&(low, _)| low <= u128::from(u32::MAX));
    let pieces: usize = match field.kind() {
        Kind::Addr => passing.as_slice().iter().map(|&(low, high)| prefixes(low, high).len()).sum(),
        _ => passing.as_slice().len(),
    };
    known && small && pieces <= MAX_RANGES
}

/// What of a filter the kernel can be asked: a weaker filter, `all` if it is nothing.
#[must_use]
pub fn asked(expr: &Expr) -> Expr {
    widen::widen_by(expr, &is_known)
}

/// The program for frames of one link type: passes all that `expr` passes, and perhaps more. `None` if it would pass
/// everything, or the link type is none of Ethernet, Linux cooked and raw IP, or the program would be too long.
pub fn program(expr: &Expr, link: LinkType) -> Option<Vec<Instruction>> {
    let (link_bytes, ethertype_at) = match link {
        LinkType::ETHERNET => (14, Some(12)),
        LinkType::LINUX_SLL => (16, Some(14)),
        LinkType::RAW => (0, None),
        _ => return None,
    };
    let expr = asked(expr);
    if expr == Expr::All {
        return None;
    }
    let mut code = Code {
        instructions: Vec::new(),
        targets: Vec::new(),
        jumps: Vec::new(),
        link: link_bytes,
        ethertype_at,
        pass: Label(0),
    };
    code.pass = code.label();
    let (drop, v4, v6, other) = (code.label(), code.label(), code.label(), code.label());
    let pass = code.pass;
    // The shortest whole IP header.
    code.emit(LD_LEN, 0);
    code.unless(JGE, link_bytes + 20, pass);
    if let Some(at) = ethertype_at {
        if link == LinkType::LINUX_SLL {
            // Of some kinds of hardware the field is no ethertype: netlink, radiotap.
            code.emit(LD_HALF, 2);
            code.when(JEQ, 824, pass);
            code.when(JEQ, 803, pass);
        }
        code.emit(LD_HALF, at);
        code.when(JEQ, 0x0800, v4);
        code.when(JEQ, 0x86dd, v6);
        for plain in [0x0806, 0x8035, 0x88cc] {
            code.when(JEQ, plain, other);
        }
        code.go(pass);
    } else {
        code.emit(LD_BYTE, 0);
        code.emit(AND, 0xf0);
        code.when(JEQ, 0x40, v4);
        code.when(JEQ, 0x60, v6);
        code.go(pass);
    }

    code.place(v4);
    code.emit(LD_BYTE, link_bytes);
    code.unless(JGE, 0x45, pass);
    code.when(JGT, 0x4f, pass);
    code.emit(LD_HALF, link_bytes + 6);
    code.emit(AND, 0x3fff);
    code.unless(JEQ, 0, pass);
    code.emit(LDX_HEADER, link_bytes);
    code.check_transport(Class::V4, drop, &expr);

    code.place(v6);
    code.emit(LD_LEN, 0);
    code.unless(JGE, link_bytes + 40, pass);
    code.emit(LD_BYTE, link_bytes);
    code.emit(AND, 0xf0);
    code.unless(JEQ, 0x60, pass);
    code.check_transport(Class::V6, drop, &expr);

    code.place(other);
    code.expr(&expr, Class::Other, pass, drop);

    code.place(drop);
    code.emit(RET, 0);
    code.place(pass);
    code.emit(RET, PASS);
    code.finish()
}

/// A program as the kernel takes it: an array of `struct sock_filter` in the machine's byte order.
pub fn bytes(program: &[Instruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for one in program {
        bytes.extend(one.code.to_ne_bytes());
        bytes.extend([one.jt, one.jf]);
        bytes.extend(one.k.to_ne_bytes());
    }
    bytes
}
