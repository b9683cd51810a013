//! What each word begins: one test, up to its value.

use super::{
    Parsed, Parser, Tokens, expected, fail, first, is_sign, is_word, mending, operator, rest, vocabulary, word,
};
use crate::ast::{Condition, ETHERTYPE_WORDS, Expr, FLAG_WORDS, Item, PROTOCOL_WORDS, Subject, Test};
use crate::error::{Mend, Mistake, Span};
use crate::field::{FIELDS, Field, Kind, Pair, TUNNELS};
use crate::foreign;
use crate::lex::{Sign, TokenKind};
use crate::literal;
use crate::suggest;

/// Whose state is asked for: connections and sockets have different words for theirs.
fn state(mut input: Tokens<'_, '_>) -> Field {
    while matches!(first(input).kind, TokenKind::Sign(Sign::Equal | Sign::NotEqual | Sign::OpenList))
        || is_word(input, "in")
        || is_word(input, "not")
    {
        input = rest(input);
    }
    match word(input).and_then(literal::socket_state) {
        Some(_) => Field::SocketState,
        None => Field::State,
    }
}

impl<'p> Parser<'p> {
    /// One test, begun by a word.
    pub fn test<'a, 't>(&self, input: Tokens<'a, 't>) -> Parsed<'a, 't, Expr> {
        let token = first(input);
        let span = token.span.clone();
        let TokenKind::Word(word) = token.kind else {
            return match &token.kind {
                TokenKind::Sign(_) => fail(self.misplaced(input)),
                TokenKind::Quoted(text) => fail(
                    Mistake::new("text-alone", span, "text in quotes is no test")
                        .label("a value without a field")
                        .help(format!("a process is selected with `process \"{text}\"`"))
                        .help("in a shell, quote the whole filter once, not its words"),
                ),
                _ => expected(input, "a test"),
            };
        };
        let lower = word.to_ascii_lowercase();
        let behind = rest(input);
        let plain = |field: Field, items: Vec<Item>| {
            self.saw(&[field], &span);
            Expr::from(Test { subject: Subject::One(field), condition: Condition::In(items) })
        };
        let one_of = |field: Field, value: u64| plain(field, vec![Item::Number(value)]);
        match lower.as_str() {
            "all" => Ok((behind, Expr::All)),
            "none" => Ok((behind, Expr::None)),
            "and" | "or" | "&&" | "||" => fail(
                Mistake::new("nothing-before", span, format!("nothing stands before `{word}`"))
                    .label("joins two tests")
                    .help("write a test before it, or leave it out"),
            ),
            "ip" | "ip6" => {
                let version = one_of(Field::Version, if lower == "ip" { 4 } else { 6 });
                self.qualified(input, word, version)
            }
            "gre" => {
                let opened = plain(Field::Tunnel, vec![Item::Text("gre".into()), Item::Text("erspan".into())]);
                Ok((behind, Expr::or([opened, one_of(Field::Proto, 47)])))
            }
            "src" | "dst" => self.side(input, &lower),
            "addr" | "host" | "net" => self.address(input, behind, Subject::Either(Pair::Addr)),
            "asn" => self.values(input, behind, Subject::Either(Pair::Asn), false),
            "port" => self.values(input, behind, Subject::Either(Pair::Port), false),
            "outer.addr" | "outer.host" | "outer.net" => {
                self.values(input, behind, Subject::Either(Pair::OuterAddr), false)
            }
            "outer.port" => self.values(input, behind, Subject::Either(Pair::OuterPort), false),
            "outer" => fail(
                Mistake::new("outer-alone", span, "`outer` is written together with a field")
                    .label("no test by itself")
                    .help("as in `outer.src 10.0.0.1`, `outer.port 4789`, `outer.proto udp`"),
            ),
            "ether" => self.ether(input, behind),
            "flags" => self.flags(input, behind),
            "state" => self.values(input, behind, Subject::One(state(behind)), false),
            "vlan" | "mpls" | "pppoe" | "tunnel" => {
                let field = match lower.as_str() {
                    "vlan" => Field::Vlan,
                    "mpls" => Field::Mpls,
                    "pppoe" => Field::Pppoe,
                    _ => Field::Tunnel,
                };
                if let Some(mistake) = self.not_alone(field, behind) {
                    return fail(mistake);
                }
                self.values(input, behind, Subject::One(field), true)
            }
            _ => {
                if let Some((_, protocol)) = PROTOCOL_WORDS.iter().find(|(name, _)| *name == lower) {
                    self.notes.borrow_mut().extend(literal::shares_number(word, &span));
                    let test = one_of(Field::Proto, u64::from(protocol.0));
                    return self.qualified(input, word, test);
                }
                if let Some((_, ethertype)) = ETHERTYPE_WORDS.iter().find(|(name, _)| *name == lower) {
                    if let Some("src" | "dst" | "host" | "net" | "addr") = self::word(behind) {
                        return fail(
                            Mistake::new(
                                "arp-address",
                                first(behind).span.clone(),
                                format!("addresses within `{lower}` are no field"),
                            )
                            .label("`and`, `or` or the end is expected here")
                            .help(format!("`{lower}` selects all of it; `addr` is of IP packets")),
                        );
                    }
                    return Ok((behind, one_of(Field::Ethertype, *ethertype)));
                }
                if let Some((_, _, bit)) = FLAG_WORDS.iter().find(|(name, _, _)| *name == lower) {
                    self.saw(&[Field::TcpFlags], &span);
                    let condition = Condition::Flags { set: *bit, of: *bit };
                    return Ok((behind, Test { subject: Subject::One(Field::TcpFlags), condition }.into()));
                }
                if TUNNELS.contains(&lower.as_str()) {
                    return Ok((behind, plain(Field::Tunnel, vec![Item::Text(lower.as_str().into())])));
                }
                match FIELDS.iter().find(|def| def.name == lower) {
                    Some(def) if def.kind == Kind::Flag => {
                        self.saw(&[def.field], &span);
                        let condition = Condition::Present;
                        Ok((behind, Test { subject: Subject::One(def.field), condition }.into()))
                    }
                    Some(def) => self.values(input, behind, Subject::One(def.field), false),
                    None => fail(self.unknown(word, input)),
                }
            }
        }
    }

    /// Notes where a test asks for its fields.
    pub(super) fn saw(&self, fields: &[Field], span: &Span) {
        let mut places = self.places.borrow_mut();
        for &field in fields {
            if places.iter().all(|(known, _)| *known != field) {
                places.push((field, span.clone()));
            }
        }
    }

    /// What stands behind a field that may stand alone, and is neither its value nor what joins tests.
    fn not_alone(&self, field: Field, input: Tokens<'_, '_>) -> Option<Mistake> {
        let word = word(input)?;
        let span = first(input).span.clone();
        let name = field.name();
        if word.eq_ignore_ascii_case("any") {
            return Some(
                Mistake::new("any-value", span, format!("`any` is no value of `{name}`"))
                    .label("not needed")
                    .help(format!("write `{name}`: there is one, whatever its value")),
            );
        }
        let is_known = vocabulary().any(|known| word.eq_ignore_ascii_case(known))
            || word.starts_with('@')
            || foreign::is_comparison(word)
            || foreign::word(word, span.clone()).is_some();
        if field != Field::Tunnel || is_known || suggest::nearest(word, ["and", "or"]).is_some() {
            return None;
        }
        let mistake = Mistake::new("word", span, format!("there is no kind of tunnel `{}`", suggest::short(word)))
            .label(format!("{} is expected here", literal::describe(field.kind())));
        Some(match suggest::nearest(word, TUNNELS.iter().copied()) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake.help("`tunnel` alone is any of them"),
        })
    }

    /// A sign where a test should begin.
    pub(super) fn misplaced(&self, input: Tokens<'_, '_>) -> Mistake {
        let token = first(input);
        let shown = self.shown(&token.span);
        let mistake = Mistake::new("no-test", token.span.clone(), format!("no test begins with `{shown}`"))
            .label("a test is expected here");
        match token.kind {
            TokenKind::Sign(Sign::OpenList) => mistake.help("a list follows a field: `port {80, 443}`"),
            TokenKind::Sign(Sign::Close) => mistake.help("write a test before it, or leave it out"),
            TokenKind::Sign(Sign::And | Sign::Or) => {
                Mistake::new("nothing-before", token.span.clone(), format!("nothing stands before `{shown}`"))
                    .label("joins two tests")
                    .help("write a test before it, or leave it out")
            }
            _ => mistake,
        }
    }

    /// A word that nobody knows.
    pub(super) fn unknown(&self, word: &str, input: Tokens<'_, '_>) -> Mistake {
        let span = first(input).span.clone();
        // Wireshark's quantifier, not nfdump's `any`.
        if word.eq_ignore_ascii_case("any")
            && let Some(field) = self::word(rest(input)).filter(|field| field.contains('.'))
            && let Some(mistake) = foreign::word(field, first(rest(input)).span.clone())
        {
            return mistake;
        }
        if let Some(mistake) = foreign::word(word, span.clone()) {
            return mistake;
        }
        if let Some(mistake) = literal::value_alone(word, &span) {
            return mistake;
        }
        let mistake =
            Mistake::new("unknown-word", span, format!("`{}` is no word of the filter language", suggest::short(word)))
                .label("unknown");
        match suggest::nearest(word, vocabulary()) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake.help("`docs/filter.md` lists every field"),
        }
    }

    /// Behind a protocol: libpcap lets a test follow at once, as in `tcp port 80`.
    fn qualified<'a, 't>(&self, start: Tokens<'a, 't>, before: &str, protocol: Expr) -> Parsed<'a, 't, Expr> {
        let input = rest(start);
        if is_sign(input, Sign::OpenSlice) {
            return fail(foreign::slice_of(before, input));
        }
        let Some(next) = word(input) else { return Ok((input, protocol)) };
        let lower = next.to_ascii_lowercase();
        match lower.as_str() {
            "src" | "dst" | "host" | "net" | "addr" | "port" | "sport" | "dport" | "proto" => {
                let both = |mend: Mend| {
                    if !mend.is_test {
                        return Some(mend);
                    }
                    let text = format!("{before} and {}", mend.text);
                    Some(Mend { span: first(start).span.start..mend.span.end, text, ..mend })
                };
                let (left, test) = self.test(input).map_err(|error| mending(error, both))?;
                Ok((left, Expr::and([protocol, test])))
            }
            "multicast" | "broadcast" => fail(foreign::cast(&before.to_ascii_lowercase(), &lower, &first(input).span)),
            "type" if before.to_ascii_lowercase().starts_with("icmp") => fail(
                Mistake::new("foreign-word", first(input).span.clone(), format!("`{before} type` is nftables'"))
                    .label("another tool's word")
                    .help(format!("as in `{before} and icmptype 3`")),
            ),
            "portrange" | "protochain" => fail(self.unknown(next, input)),
            _ => Ok((input, protocol)),
        }
    }

    /// Behind `src` or `dst`.
    fn side<'a, 't>(&self, input: Tokens<'a, 't>, side: &str) -> Parsed<'a, 't, Expr> {
        let behind = rest(input);
        let is_src = side == "src";
        let subject = |src: Field, dst: Field| Subject::One(if is_src { src } else { dst });
        let next = word(behind).unwrap_or("").to_ascii_lowercase();
        match next.as_str() {
            "host" | "net" | "addr" => self.address(input, rest(behind), subject(Field::SrcAddr, Field::DstAddr)),
            "port" => self.values(input, rest(behind), subject(Field::SrcPort, Field::DstPort), false),
            "asn" => self.values(input, rest(behind), subject(Field::SrcAsn, Field::DstAsn), false),
            "and" | "or" if is_word(rest(behind), "dst") || is_word(rest(behind), "src") => {
                let span = first(input).span.start..first(rest(behind)).span.end;
                let written = if next == "or" { "addr 10.0.0.1` or `port 53" } else { "src 10.0.0.1 and dst 10.0.0.1" };
                fail(
                    Mistake::new("libpcap-sides", span, "sides are not joined before a value")
                        .label("libpcap's way")
                        .help(format!("write `{written}`")),
                )
            }
            "ip" | "as" | "if" | "portrange" | "mac" | "ether" | "vlan" | "tos" => {
                fail(foreign::behind_side(side, &next, first(behind).span.clone()))
            }
            _ => self.address(input, behind, subject(Field::SrcAddr, Field::DstAddr)),
        }
    }

    /// An address test; `addr asn N` is one of AS numbers.
    fn address<'a, 't>(&self, start: Tokens<'a, 't>, input: Tokens<'a, 't>, subject: Subject) -> Parsed<'a, 't, Expr> {
        if is_word(input, "asn") {
            let asn = match subject {
                Subject::One(Field::SrcAddr) => Subject::One(Field::SrcAsn),
                Subject::One(_) => Subject::One(Field::DstAsn),
                Subject::Either(_) => Subject::Either(Pair::Asn),
            };
            return self.values(start, rest(input), asn, false);
        }
        self.values(start, input, subject, false)
    }

    fn ether<'a, 't>(&self, start: Tokens<'a, 't>, input: Tokens<'a, 't>) -> Parsed<'a, 't, Expr> {
        match word(input).unwrap_or("").to_ascii_lowercase().as_str() {
            "src" => {
                let behind = rest(input);
                let behind = if is_word(behind, "host") { rest(behind) } else { behind };
                self.values(start, behind, Subject::One(Field::SrcMac), false)
            }
            "dst" => {
                let behind = rest(input);
                let behind = if is_word(behind, "host") { rest(behind) } else { behind };
                self.values(start, behind, Subject::One(Field::DstMac), false)
            }
            "addr" | "host" => self.values(start, rest(input), Subject::Either(Pair::Mac), false),
            "proto" => self.values(start, rest(input), Subject::One(Field::Ethertype), false),
            _ if is_sign(input, Sign::OpenSlice) => fail(foreign::slice_of("ether", input)),
            next @ ("broadcast" | "multicast") => fail(foreign::cast("ether", next, &first(input).span)),
            _ => self.values(start, input, Subject::Either(Pair::Mac), false),
        }
    }

    /// `flags S/SA`: of SYN and ACK, only SYN is set. `flags SA`: both are set, the others as they like.
    fn flags<'a, 't>(&self, start: Tokens<'a, 't>, input: Tokens<'a, 't>) -> Parsed<'a, 't, Expr> {
        let token = first(input);
        let span = token.span.clone();
        let word = word(input).filter(|_| operator(input).is_none() && !is_word(input, "not"));
        let Some(word) = word else {
            return fail(
                Mistake::new("flags", span, "flags are written as letters")
                    .label("letters are expected here")
                    .help("`flags S/SA`: of SYN and ACK, only SYN is set; `flags SA`: both are set"),
            );
        };
        match literal::flags(word, &span) {
            Ok((set, of)) => {
                self.saw(&[Field::TcpFlags], &first(start).span);
                let condition = Condition::Flags { set, of };
                Ok((rest(input), Test { subject: Subject::One(Field::TcpFlags), condition }.into()))
            }
            Err(mistake) => fail(*mistake),
        }
    }
}
