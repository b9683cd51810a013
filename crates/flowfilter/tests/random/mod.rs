//! Random packets and filters, and what a filter means of a packet written a second time, without the crate's accessors.

use flowcore::event::{IcmpHeader, TcpSegment, UdpHeader};
use flowcore::wire::{Headers, Layers, Tunnel, TunnelKind};
use flowcore::{Addr, Detail, FlowEvent, FlowKey, Layer, Notes, Prefix, Protocol, TcpFlags, Timestamp};
use flowfilter::ast::{Condition, Expr, Item, Order, Subject, Test};
use flowfilter::field::{Kind, Pair};
use flowfilter::{Field, FieldSet, Record};

/// Numbers that look random and are the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
    }
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    pub fn one<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// Few values, so that filters and packets meet.
pub const PORTS: [u16; 8] = [0, 1, 53, 80, 443, 1024, 4789, 65_535];
pub const PROTOCOLS: [u8; 9] = [0, 1, 6, 17, 33, 47, 58, 132, 255];

pub fn addrs() -> Vec<Addr> {
    [
        "0.0.0.0",
        "10.0.0.1",
        "10.0.0.2",
        "10.1.0.1",
        "192.0.2.1",
        "255.255.255.255",
        "::",
        "::1",
        "2001:db8::1",
        "fe80::1",
        "ffff::",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect()
}

pub fn event(random: &mut Random, layers: &mut Vec<Layers>) -> FlowEvent {
    let addrs = addrs();
    let mut event =
        FlowEvent { bytes: random.one(&[0, 60, 64, 1000, 1500, 1 << 40]), packets: 1, ..FlowEvent::default() };
    event.time = Timestamp::from_nanos(time(random));
    event.ethertype = random.one(&[0, 0x0800, 0x86dd, 0x0806, 0x88cc]);
    if !random.chance(6) {
        let protocol = Protocol(random.one(&PROTOCOLS));
        event.key = FlowKey { src: random.one(&addrs), dst: random.one(&addrs), protocol, ..FlowKey::NONE };
        if protocol.has_ports() || protocol == Protocol::ICMP || random.chance(5) {
            event.key.src_port = random.one(&PORTS);
            event.key.dst_port = random.one(&PORTS);
        }
        event.detail = match protocol {
            Protocol::TCP if !random.chance(4) => Detail::Tcp(TcpSegment {
                flags: TcpFlags::from_bits_truncate(random.next() as u16 & 0xfff),
                ..TcpSegment::default()
            }),
            Protocol::UDP if !random.chance(4) => Detail::Udp(UdpHeader::default()),
            Protocol::ICMP | Protocol::ICMPV6 if !random.chance(4) => Detail::Icmp(IcmpHeader {
                kind: random.one(&[0, 3, 8, 128, 255]),
                code: random.one(&[0, 1, 255]),
                ..IcmpHeader::default()
            }),
            _ => Detail::None,
        };
        event.payload_bytes = random.one(&[0, 1, 1000]);
    }
    event.notes = Notes::from_bits_truncate(random.next() as u16 & random.next() as u16);
    event.stopped = random.one(&[Layer::None, Layer::None, Layer::None, Layer::Network, Layer::Transport]);
    if random.chance(2) {
        let mut side = Layers::default();
        for _ in 0..random.below(3) {
            side.vlans.push(random.one(&[0, 1, 5, 4095]));
        }
        for _ in 0..random.below(3) {
            side.mpls.push(random.one(&[0, 16, 1_048_575]));
        }
        for _ in 0..random.below(3) {
            use TunnelKind as T;
            side.tunnels.push(Tunnel {
                kind: random.one(&[T::IpInIp, T::Gre, T::Erspan, T::Vxlan, T::Geneve, T::GtpU, T::Teredo, T::Ayiya]),
                id: random.one(&[None, Some(0), Some(100), Some(u32::MAX)]),
                src: random.one(&addrs),
                dst: random.one(&addrs),
                ports: (random.one(&PORTS), random.one(&PORTS)),
            });
        }
        side.pppoe_session = random.one(&[None, Some(0), Some(65_535)]);
        if random.chance(2) {
            side.headers = Headers {
                link_src: random.one(&[None, Some([0; 6]), Some([2, 0, 0, 0, 0, 1]), Some([0xff; 6])]),
                link_dst: random.one(&[None, Some([2, 0, 0, 0, 0, 1]), Some([0xff; 6])]),
                ttl: random.one(&[None, Some(0), Some(64), Some(255)]),
                tos: random.one(&[None, Some(0), Some(0xb8), Some(255)]),
            };
        }
        layers.push(side);
        event.layers = layers.len() as u16;
    }
    event
}

/// One of the values that packets have, or a neighbour.
pub fn number(random: &mut Random, max: u64) -> u64 {
    let near = [0, 1, 5, 16, 53, 64, 80, 100, 255, 443, 1000, 1024, 1500, 4095, 4789, 65_535, 1 << 40, u64::MAX];
    random.one(&near).saturating_add(random.below(3) as u64).saturating_sub(1).min(max)
}

/// One of few times, or a neighbour: the ends of what can be said, 1970, a day, a minute in it, a tenth of a second.
pub fn time(random: &mut Random) -> i64 {
    const DAY: i64 = 1_795_132_800_000_000_000;
    let near =
        [i64::MIN, -1, 0, DAY, DAY + 36_180_000_000_000, DAY + 36_240_000_000_000, DAY + 36_185_500_000_000, i64::MAX];
    random.one(&near).saturating_add(random.below(3) as i64).saturating_sub(1)
}

/// A time as its place among all that there are.
pub fn placed(time: i64) -> u64 {
    (i128::from(time) - i128::from(i64::MIN)) as u64
}

pub fn item(random: &mut Random, kind: Kind) -> Item {
    match kind {
        Kind::Time => {
            let (a, b) = (placed(time(random)), placed(time(random)));
            if a < b { Item::Range(a, b) } else { Item::Number(a) }
        }
        Kind::Number { max } => range(random, max),
        Kind::Bytes | Kind::Span => range(random, u64::MAX),
        Kind::Proto => Item::Number(u64::from(random.one(&PROTOCOLS))),
        Kind::Mac => Item::Mac(random.one(&[[0; 6], [2, 0, 0, 0, 0, 1], [0xff; 6], [1; 6]])),
        Kind::Word(words) => Item::Text(random.one(words).into()),
        Kind::Addr => {
            let addr = random.one(&addrs());
            let longest = if addr.is_v4() { 32 } else { 128 };
            let other = random.one(&addrs());
            if random.chance(3) && addr < other && addr.is_v4() == other.is_v4() {
                Item::Addrs(addr, other)
            } else if random.chance(2) {
                Item::Addr(addr)
            } else {
                let bits = random.one(&[0, 1, 8, 16, 31, longest]).min(longest);
                Item::Prefix(Prefix::new(addr, bits).unwrap())
            }
        }
        Kind::Text => Item::Text(random.one(&["", "a", "b", "c"]).into()),
        Kind::Flag | Kind::TcpFlags => unreachable!("no items of {kind:?}"),
    }
}

pub fn range(random: &mut Random, max: u64) -> Item {
    let (a, b) = (number(random, max), number(random, max));
    if a < b && random.chance(2) { Item::Range(a, b) } else { Item::Number(a) }
}

/// What is asked of packets: names and flow ids are not their own.
pub fn asked() -> Vec<Field> {
    let others = [Field::SrcAsn, Field::DstAsn, Field::Process, Field::Pid, Field::Direction];
    FlowEvent::fields().without(FieldSet::of(others)).iter().collect()
}

pub fn test(random: &mut Random) -> Test {
    let pairs = [Pair::Addr, Pair::Port, Pair::Mac, Pair::OuterAddr, Pair::OuterPort];
    test_of(random, &asked(), &pairs)
}

/// A test of one of these.
pub fn test_of(random: &mut Random, fields: &[Field], pairs: &[Pair]) -> Test {
    let subject = if random.chance(4) { Subject::Either(random.one(pairs)) } else { Subject::One(random.one(fields)) };
    let kind = subject.kind();
    let items = |random: &mut Random| (0..1 + random.below(4)).map(|_| item(random, kind)).collect();
    let alone = matches!(subject, Subject::One(Field::Vlan | Field::Mpls | Field::Pppoe | Field::Tunnel));
    let condition = match kind {
        Kind::Flag => Condition::Present,
        Kind::TcpFlags => {
            let of = (random.next() as u16 & 0xff).max(1);
            Condition::Flags { set: random.next() as u16 & of, of }
        }
        _ if alone && random.chance(3) => Condition::Present,
        Kind::Number { max } if random.chance(3) => compare(random, max),
        Kind::Bytes | Kind::Span if random.chance(3) => compare(random, u64::MAX),
        Kind::Time if random.chance(2) => match compare(random, 0) {
            Condition::Compare(order, _) => Condition::Compare(order, placed(time(random))),
            other => other,
        },
        _ if random.chance(3) => Condition::NotIn(items(random)),
        _ => Condition::In(items(random)),
    };
    Test { subject, condition }
}

pub fn compare(random: &mut Random, max: u64) -> Condition {
    Condition::Compare(random.one(&[Order::Less, Order::AtMost, Order::More, Order::AtLeast]), number(random, max))
}

pub fn expr(random: &mut Random, depth: usize) -> Expr {
    expr_of(random, depth, &test)
}

/// A tree of such tests.
pub fn expr_of(random: &mut Random, depth: usize, test: &dyn Fn(&mut Random) -> Test) -> Expr {
    match random.below(if depth == 0 { 5 } else { 12 }) {
        0 if random.chance(6) => random.one(&[Expr::All, Expr::None]),
        0..5 => test(random).into(),
        5..7 => Expr::not(expr_of(random, depth - 1, test)),
        7..10 => Expr::and((0..2 + random.below(3)).map(|_| expr_of(random, depth - 1, test)).collect::<Vec<_>>()),
        _ => Expr::or((0..2 + random.below(3)).map(|_| expr_of(random, depth - 1, test)).collect::<Vec<_>>()),
    }
}

/// What the documentation says a field's values are, written again without the crate's accessors.
pub enum Values {
    Numbers(Vec<u64>),
    Addr(Option<Addr>),
}

pub fn values(field: Field, event: &FlowEvent, side: Option<&Layers>) -> Values {
    use Values::{Addr, Numbers};
    let key = (event.key != FlowKey::NONE).then_some(event.key);
    let tunnels: &[Tunnel] = side.map_or(&[], |side| side.tunnels.as_slice());
    let headers = side.map(|side| side.headers).unwrap_or_default();
    let one = |value: Option<u64>| Numbers(value.into_iter().collect());
    let transport = ["6", "17", "33", "132", "136"].contains(&event.key.protocol.0.to_string().as_str());
    let later = event.notes.intersects(Notes::LATER_FRAGMENT);
    let unread = event.stopped != Layer::None
        && event.key.src_port == 0
        && event.key.dst_port == 0
        && event.detail == Detail::None;
    // What a later fragment has was found by a flow table.
    let found = event.key.src_port != 0 || event.key.dst_port != 0;
    let ports = (transport && (found || !later) && !unread).then_some((event.key.src_port, event.key.dst_port));
    let first = tunnels.first();
    let udp = |tunnel: &Tunnel| !matches!(tunnel.kind, TunnelKind::IpInIp | TunnelKind::Gre | TunnelKind::Erspan);
    match field {
        Field::Version => one(match (event.ethertype, key) {
            (0x0800, _) => Some(4),
            (0x86dd, _) => Some(6),
            (_, Some(key)) if key.src.to_ip().is_ipv4() && key.dst.to_ip().is_ipv4() => Some(4),
            (_, Some(_)) => Some(6),
            _ => None,
        }),
        Field::Proto => one(key.map(|key| u64::from(key.protocol.0))),
        Field::SrcAddr => Addr(key.map(|key| key.src)),
        Field::DstAddr => Addr(key.map(|key| key.dst)),
        Field::SrcPort => one(ports.map(|ports| u64::from(ports.0))),
        Field::DstPort => one(ports.map(|ports| u64::from(ports.1))),
        Field::SrcMac => one(headers.link_src.map(mac)),
        Field::DstMac => one(headers.link_dst.map(mac)),
        Field::Ethertype => one(Some(u64::from(event.ethertype)).filter(|&number| number != 0)),
        Field::Vlan => {
            Numbers(side.map_or(vec![], |side| side.vlans.as_slice().iter().map(|&vlan| u64::from(vlan)).collect()))
        }
        Field::Mpls => {
            Numbers(side.map_or(vec![], |side| side.mpls.as_slice().iter().map(|&label| u64::from(label)).collect()))
        }
        Field::Pppoe => one(side.and_then(|side| side.pppoe_session).map(u64::from)),
        Field::Tunnel => Numbers(
            tunnels
                .iter()
                .map(|tunnel| {
                    flowfilter::field::TUNNELS.iter().position(|name| *name == tunnel.kind.name()).unwrap() as u64
                })
                .collect(),
        ),
        Field::TunnelId => Numbers(tunnels.iter().filter_map(|tunnel| tunnel.id).map(u64::from).collect()),
        Field::OuterSrcAddr => Addr(first.map(|tunnel| tunnel.src).or(key.map(|key| key.src))),
        Field::OuterDstAddr => Addr(first.map(|tunnel| tunnel.dst).or(key.map(|key| key.dst))),
        Field::OuterSrcPort => one(match first {
            Some(tunnel) => udp(tunnel).then_some(u64::from(tunnel.ports.0)),
            None => ports.map(|ports| u64::from(ports.0)),
        }),
        Field::OuterDstPort => one(match first {
            Some(tunnel) => udp(tunnel).then_some(u64::from(tunnel.ports.1)),
            None => ports.map(|ports| u64::from(ports.1)),
        }),
        Field::OuterProto => one(match first {
            None => key.map(|key| u64::from(key.protocol.0)),
            Some(tunnel) if udp(tunnel) => Some(17),
            Some(tunnel) if tunnel.kind == TunnelKind::IpInIp => {
                let inner = tunnels.get(1).map_or(event.key.src, |next| next.src);
                Some(if inner.to_ip().is_ipv4() { 4 } else { 41 })
            }
            Some(_) => Some(47),
        }),
        Field::TcpFlags => one(match event.detail {
            // The segment that a later fragment makes is the first one's header.
            Detail::Tcp(segment) if !later => Some(u64::from(segment.flags.bits())),
            _ => None,
        }),
        Field::IcmpType | Field::IcmpCode => one(match event.detail {
            Detail::Icmp(header) => Some(u64::from(if field == Field::IcmpType { header.kind } else { header.code })),
            _ => None,
        }),
        Field::Time => one((!event.notes.contains(Notes::UNTIMED)).then(|| placed(event.time.as_nanos()))),
        Field::Length => one(Some(event.bytes)),
        Field::Payload => {
            let known = !later && (ports.is_some() || event.detail != Detail::None);
            one(known.then_some(u64::from(event.payload_bytes)))
        }
        Field::Ttl => one(headers.ttl.map(u64::from)),
        Field::Tos => one(headers.tos.map(u64::from)),
        Field::Dscp => one(headers.tos.map(|tos| u64::from(tos) / 4)),
        Field::Fragment => one(event.notes.contains(Notes::FRAGMENT).then_some(1)),
        Field::ToDs => one(event.notes.contains(Notes::TO_DS).then_some(1)),
        Field::FromDs => one(event.notes.contains(Notes::FROM_DS).then_some(1)),
        other => unreachable!("{other:?} is not asked"),
    }
}

pub fn mac(bytes: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
}

pub fn number_is(item: &Item, number: u64, kind: Kind) -> bool {
    match item {
        Item::Number(one) => *one == number,
        Item::Range(low, high) => (*low..=*high).contains(&number),
        Item::Mac(bytes) => mac(*bytes) == number,
        Item::Text(text) => matches!(kind, Kind::Word(words) if words[number as usize] == &**text),
        _ => false,
    }
}

pub fn addr_is(item: &Item, addr: Addr) -> bool {
    match item {
        Item::Addr(one) => *one == addr,
        Item::Prefix(prefix) => prefix.contains(addr),
        Item::Addrs(low, high) => addr.is_v4() == low.is_v4() && (*low..=*high).contains(&addr),
        _ => false,
    }
}

pub fn field_holds(field: Field, condition: &Condition, event: &FlowEvent, side: Option<&Layers>) -> bool {
    match values(field, event, side) {
        Values::Addr(None) => false,
        Values::Addr(Some(addr)) => match condition {
            Condition::In(items) => items.iter().any(|item| addr_is(item, addr)),
            Condition::NotIn(items) => !items.iter().any(|item| addr_is(item, addr)),
            _ => true,
        },
        Values::Numbers(numbers) => {
            let is =
                |items: &[Item]| numbers.iter().any(|&one| items.iter().any(|item| number_is(item, one, field.kind())));
            match condition {
                Condition::Present => !numbers.is_empty(),
                Condition::In(items) => is(items),
                Condition::NotIn(items) => !numbers.is_empty() && !is(items),
                Condition::Compare(order, than) => numbers.iter().any(|one| match order {
                    Order::Less => one < than,
                    Order::AtMost => one <= than,
                    Order::More => one > than,
                    Order::AtLeast => one >= than,
                }),
                Condition::Flags { set, of } => numbers.iter().any(|one| one & u64::from(*of) == u64::from(*set)),
            }
        }
    }
}

pub fn holds(expr: &Expr, event: &FlowEvent, side: Option<&Layers>) -> bool {
    match expr {
        Expr::All => true,
        Expr::None => false,
        Expr::Not(inner) => !holds(inner, event, side),
        Expr::And(all) => all.iter().all(|one| holds(one, event, side)),
        Expr::Or(all) => all.iter().any(|one| holds(one, event, side)),
        Expr::Test(Test { subject: Subject::One(field), condition }) => field_holds(*field, condition, event, side),
        Expr::Test(Test { subject: Subject::Either(pair), condition }) => {
            let [src, dst] = pair.fields().map(|field| field_holds(field, condition, event, side));
            if matches!(condition, Condition::NotIn(_)) { src && dst } else { src || dst }
        }
    }
}
