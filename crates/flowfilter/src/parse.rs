//! The grammar: chains of tests joined by operators, parentheses, and what each word begins.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser as _, branch::alt};

use crate::ast::{Condition, ETHERTYPE_WORDS, Expr, FLAG_WORDS, Item, List, Order, PROTOCOL_WORDS, Subject, Test};
use crate::error::{Mistake, Span};
use crate::field::{FIELDS, Field, Kind, Pair, TUNNELS};
use crate::filter::{Compat, Options};
use crate::foreign;
use crate::lex::{Sign, Token, TokenKind};
use crate::literal::{self, Literal};
use crate::suggest;

/// The longest filter, in bytes. A list of addresses belongs into a file.
pub const MAX_TEXT: usize = 64 * 1024;
/// How deep parentheses and negations may nest.
pub const MAX_DEPTH: usize = 100;
/// The longest list, in items, of a file or in braces.
pub const MAX_ITEMS: usize = 1 << 20;

/// What is left of the tokens. Never empty: the last one is the end.
type Tokens<'a, 't> = &'a [Token<'t>];
type Parsed<'a, 't, T> = IResult<Tokens<'a, 't>, T, Fault>;

/// Why a branch of the grammar does not go on. Of several branches the one that came furthest speaks, and where they
/// came equally far, what each expected is said together.
#[derive(Debug, PartialEq)]
pub struct Fault {
    at: usize,
    expected: Vec<&'static str>,
    mistake: Option<Box<Mistake>>,
}

impl<'t> ParseError<&[Token<'t>]> for Fault {
    fn from_error_kind(input: &[Token<'t>], _: ErrorKind) -> Self {
        Self { at: input.first().map_or(0, |token| token.span.start), expected: Vec::new(), mistake: None }
    }

    fn append(_: &[Token<'t>], _: ErrorKind, other: Self) -> Self {
        other
    }

    fn or(mut self, other: Self) -> Self {
        if other.at > self.at || (self.mistake.is_none() && other.mistake.is_some()) {
            return other;
        }
        if other.at == self.at {
            self.expected.extend(other.expected);
        }
        self
    }
}

/// The branch does not apply here; others may.
fn expected<'a, 't, T>(input: Tokens<'a, 't>, what: &'static str) -> Parsed<'a, 't, T> {
    let at = first(input).span.start;
    Err(nom::Err::Error(Fault { at, expected: vec![what], mistake: None }))
}

/// The text is wrong whatever other branch is tried.
fn fail<'a, 't, T>(mistake: Mistake) -> Parsed<'a, 't, T> {
    Err(nom::Err::Failure(Fault { at: mistake.span.start, expected: Vec::new(), mistake: Some(Box::new(mistake)) }))
}

const END: &Token<'static> = &Token { kind: TokenKind::End, span: 0..0 };

fn first<'a, 't>(input: Tokens<'a, 't>) -> &'a Token<'t> {
    input.first().unwrap_or(END)
}

fn rest<'a, 't>(input: Tokens<'a, 't>) -> Tokens<'a, 't> {
    // The end stays where it is.
    if input.len() > 1 { &input[1..] } else { input }
}

fn word<'t>(input: Tokens<'_, 't>) -> Option<&'t str> {
    match first(input).kind {
        TokenKind::Word(word) => Some(word),
        _ => None,
    }
}

fn is_word(input: Tokens<'_, '_>, wanted: &str) -> bool {
    word(input).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
}

fn is_sign(input: Tokens<'_, '_>, wanted: Sign) -> bool {
    first(input).kind == TokenKind::Sign(wanted)
}

/// An operator between two operands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

/// What one parse needs and finds out besides the tree.
pub struct Parser<'p> {
    text: &'p str,
    options: &'p Options<'p>,
    /// Notes and warnings.
    pub notes: RefCell<Vec<Mistake>>,
    /// Where each field was first asked for.
    pub places: RefCell<Vec<(Field, Span)>>,
    items: Cell<usize>,
}

impl<'p> Parser<'p> {
    pub fn new(text: &'p str, options: &'p Options<'p>) -> Self {
        Self { text, options, notes: RefCell::default(), places: RefCell::default(), items: Cell::new(0) }
    }

    /// The whole filter.
    pub fn filter(&self, tokens: &[Token<'_>]) -> Result<Expr, Mistake> {
        if first(tokens).kind == TokenKind::End {
            return Err(Mistake::new("empty", 0..0, "the filter is empty")
                .label("a test is expected here")
                .help("`all` selects everything"));
        }
        match self.chain(tokens, 0) {
            Ok((left, expr)) if first(left).kind == TokenKind::End => Ok(expr),
            Ok((left, _)) => Err(self.trailing(left)),
            Err(nom::Err::Error(fault) | nom::Err::Failure(fault)) => Err(self.mistake(fault)),
            Err(nom::Err::Incomplete(_)) => Err(Mistake::new("empty", 0..0, "the filter is incomplete")),
        }
    }

    fn mistake(&self, fault: Fault) -> Mistake {
        match fault.mistake {
            Some(mistake) => *mistake,
            None => {
                let list = suggest::alternatives(&fault.expected);
                Mistake::new("expected", fault.at..fault.at, format!("expected {list}")).label("here")
            }
        }
    }

    /// Operands and operators on one level of parentheses, joined as they bind.
    fn chain<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        let start = first(input).span.start;
        let (mut input, operand) = self.operand(input, depth)?;
        let mut operands = vec![operand];
        let mut operators = Vec::new();
        let mut end = start;
        while let Some(operator) = operator(input) {
            let token = first(input);
            let behind = rest(input);
            if first(behind).kind == TokenKind::End || is_sign(behind, Sign::Close) {
                let shown = self.shown(&token.span);
                return fail(
                    Mistake::new("nothing-behind", token.span.clone(), format!("nothing stands behind `{shown}`"))
                        .label("joins two tests")
                        .help("write a test behind it, or leave it out"),
                );
            }
            if let Some(second) = self::operator(behind) {
                let span = token.span.start..first(behind).span.end;
                let said = if second == operator { "is written twice" } else { "follows another operator" };
                return fail(
                    Mistake::new("two-operators", span, format!("`{}` {said}", self.shown(&first(behind).span)))
                        .label("a test is expected between them"),
                );
            }
            let (behind, operand) = self.operand(behind, depth)?;
            operands.push(operand);
            operators.push(operator);
            // Where the last token of the operand ends.
            let consumed = input.len() - behind.len();
            end = input.get(consumed.wrapping_sub(1)).map_or(end, |token| token.span.end);
            input = behind;
        }
        let usual = join(&operands, &operators);
        let mixed = is_ambiguous(&operators);
        if !mixed {
            return Ok((input, usual));
        }
        let level = join_left_to_right(operands, &operators);
        if self.options.compat != Compat::None {
            return Ok((input, level));
        }
        let short = |expr: &Expr| suggest::short(&expr.to_string());
        self.notes.borrow_mut().push(
            Mistake::new("mixed-operators", start..end, "`and` binds tighter than `or` here")
                .label(format!("read as: {}", short(&usual)))
                .help(format!("CoMo and libpcap read from left to right: {}", short(&level)))
                .help("parentheses say which is meant, --filter-compat como|libpcap reads it their way"),
        );
        Ok((input, usual))
    }

    fn shown(&self, span: &Span) -> &'p str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// A negation, something in parentheses, or a test.
    fn operand<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        if depth > MAX_DEPTH {
            let token = first(input);
            return fail(
                Mistake::new("too-deep", token.span.clone(), format!("nested more than {MAX_DEPTH} levels deep"))
                    .label("here")
                    .help("join tests with `or` on one level, or use a list: `port {80, 443}`"),
            );
        }
        alt((
            |input: Tokens<'a, 't>| self.negation(input, depth),
            |input: Tokens<'a, 't>| self.group(input, depth),
            |input: Tokens<'a, 't>| self.test(input),
        ))
        .parse(input)
    }

    fn negation<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        if !is_word(input, "not") && !is_sign(input, Sign::Not) {
            return expected(input, "`not`");
        }
        let behind = rest(input);
        if first(behind).kind == TokenKind::End {
            let token = first(input);
            return fail(
                Mistake::new("nothing-behind", token.span.clone(), "nothing stands behind `not`")
                    .label("negates the test behind it"),
            );
        }
        let (left, inner) = self.operand(behind, depth + 1)?;
        Ok((left, Expr::not(inner)))
    }

    fn group<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        if !is_sign(input, Sign::Open) {
            return expected(input, "`(`");
        }
        let open = first(input);
        let behind = rest(input);
        if is_sign(behind, Sign::Close) {
            return fail(
                Mistake::new("empty-parentheses", open.span.start..first(behind).span.end, "nothing is in parentheses")
                    .label("a test is expected between them"),
            );
        }
        let never_closed = || {
            Mistake::new("open-parenthesis", open.span.clone(), "a parenthesis is never closed")
                .label("opened here")
                .help("write `)` behind what belongs together; in a shell, quote the whole filter")
        };
        if first(behind).kind == TokenKind::End {
            return fail(never_closed());
        }
        let (left, inner) = self.chain(behind, depth + 1)?;
        match first(left).kind {
            TokenKind::Sign(Sign::Close) => Ok((rest(left), inner)),
            TokenKind::End => fail(never_closed()),
            _ => fail(self.trailing(left)),
        }
    }

    /// What to say of a token behind a complete test.
    fn trailing(&self, input: Tokens<'_, '_>) -> Mistake {
        let token = first(input);
        let span = token.span.clone();
        let shown = self.shown(&span);
        let unexpected = |label: &str| {
            Mistake::new("unexpected", span.clone(), format!("`{shown}` is unexpected here")).label(label)
        };
        match &token.kind {
            TokenKind::Sign(Sign::Close) => {
                Mistake::new("close-parenthesis", span, "a parenthesis is closed that was never opened")
                    .label("no `(` belongs to it")
            }
            TokenKind::Sign(Sign::Ampersand | Sign::Bar) => {
                let double = if shown == "&" { "&&" } else { "||" };
                unexpected("no operator between tests")
                    .help(format!("tests are joined with `{double}`"))
                    .help("TCP flags are tested by name: `syn and not ack`, or `flags S/SA`")
            }
            TokenKind::Sign(Sign::OpenSlice) => foreign::slice(self.text, input),
            TokenKind::Sign(Sign::Equal | Sign::NotEqual | Sign::Less | Sign::AtMost | Sign::More | Sign::AtLeast) => {
                unexpected("what stands before it is true or false by itself and compares with nothing")
                    .help("write the test alone, or `not` before it")
            }
            TokenKind::Sign(Sign::Comma) => {
                unexpected("commas stand within lists").help("lists are in braces: `port {80, 443}`")
            }
            TokenKind::Sign(_) | TokenKind::End => unexpected("`and`, `or` or the end is expected here"),
            TokenKind::Quoted(_) => unexpected("`and`, `or` or the end is expected here"),
            TokenKind::Word(word) => {
                if let Some(mistake) = foreign::operator(word, &span) {
                    return mistake;
                }
                if literal::looks_like_value(word) {
                    return unexpected("a second value")
                        .help("several values are a list, in braces and with commas: `port {80, 443}`");
                }
                let mistake = Mistake::new("missing-operator", span.start..span.start, "an operator is missing")
                    .label("`and` or `or` is expected here");
                if self.begins_test(&word.to_ascii_lowercase()) {
                    mistake
                } else {
                    match suggest::nearest(word, ["and", "or", "&&", "||"]) {
                        Some(near) => unexpected("`and`, `or` or the end is expected here")
                            .help(format!("did you mean `{near}`?")),
                        None => self.unknown(word, input),
                    }
                }
            }
        }
    }

    fn begins_test(&self, word: &str) -> bool {
        vocabulary().any(|known| known == word)
    }

    /// One test, begun by a word.
    fn test<'a, 't>(&self, input: Tokens<'a, 't>) -> Parsed<'a, 't, Expr> {
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
                self.qualified(behind, word, version)
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
            "vlan" | "mpls" | "pppoe" | "tunnel" => {
                let field = match lower.as_str() {
                    "vlan" => Field::Vlan,
                    "mpls" => Field::Mpls,
                    "pppoe" => Field::Pppoe,
                    _ => Field::Tunnel,
                };
                self.values(input, behind, Subject::One(field), true)
            }
            _ => {
                if let Some((_, protocol)) = PROTOCOL_WORDS.iter().find(|(name, _)| *name == lower) {
                    let test = one_of(Field::Proto, u64::from(protocol.0));
                    return self.qualified(behind, word, test);
                }
                if let Some((_, ethertype)) = ETHERTYPE_WORDS.iter().find(|(name, _)| *name == lower) {
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
    fn saw(&self, fields: &[Field], span: &Span) {
        let mut places = self.places.borrow_mut();
        for &field in fields {
            if places.iter().all(|(known, _)| *known != field) {
                places.push((field, span.clone()));
            }
        }
    }

    /// A sign where a test should begin.
    fn misplaced(&self, input: Tokens<'_, '_>) -> Mistake {
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
    fn unknown(&self, word: &str, input: Tokens<'_, '_>) -> Mistake {
        let span = first(input).span.clone();
        if let Some(mistake) = foreign::word(self.text, word, input) {
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
    fn qualified<'a, 't>(&self, input: Tokens<'a, 't>, before: &str, protocol: Expr) -> Parsed<'a, 't, Expr> {
        if is_sign(input, Sign::OpenSlice) {
            return fail(foreign::slice_of(before, self.text, input));
        }
        let Some(next) = word(input) else { return Ok((input, protocol)) };
        let lower = next.to_ascii_lowercase();
        match lower.as_str() {
            "src" | "dst" | "host" | "net" | "addr" | "port" | "sport" | "dport" | "proto" => {
                let (left, test) = self.test(input)?;
                Ok((left, Expr::and([protocol, test])))
            }
            "portrange" | "protochain" | "multicast" | "broadcast" => fail(self.unknown(next, input)),
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
                fail(foreign::behind_side(side, &next, self.text, behind))
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
            _ if is_sign(input, Sign::OpenSlice) => fail(foreign::slice_of("ether", self.text, input)),
            next @ ("broadcast" | "multicast") => fail(foreign::cast(next, &first(input).span)),
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

    /// A field's condition: an operator or none, a value or a list. `alone`: the field may stand without, and is then
    /// asked to be present.
    fn values<'a, 't>(
        &self,
        start: Tokens<'a, 't>,
        input: Tokens<'a, 't>,
        subject: Subject,
        alone: bool,
    ) -> Parsed<'a, 't, Expr> {
        let kind = subject.kind();
        let begin = first(start).span.start;
        let (operator_at, behind) = (first(input).span.clone(), rest(input));
        let (comparison, left) = match &first(input).kind {
            TokenKind::Sign(Sign::Equal) => (Comparison::Equal, behind),
            TokenKind::Sign(Sign::NotEqual) => (Comparison::NotIn, behind),
            TokenKind::Sign(Sign::Less) => (Comparison::Order(Order::Less), behind),
            TokenKind::Sign(Sign::AtMost) => (Comparison::Order(Order::AtMost), behind),
            TokenKind::Sign(Sign::More) => (Comparison::Order(Order::More), behind),
            TokenKind::Sign(Sign::AtLeast) => (Comparison::Order(Order::AtLeast), behind),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("in") => (Comparison::In, behind),
            TokenKind::Word(word) if word.eq_ignore_ascii_case("not") && is_word(behind, "in") => {
                (Comparison::NotIn, rest(behind))
            }
            TokenKind::Word(word) if foreign::is_comparison(word) => {
                return fail(foreign::comparison(word, &operator_at));
            }
            _ => (Comparison::None, input),
        };
        let finish = |left: Tokens<'a, 't>, condition: Condition| {
            let consumed = start.len() - left.len();
            let end = start.get(consumed.wrapping_sub(1)).map_or(begin, |token| token.span.end);
            let fields: &[Field] = match subject {
                Subject::One(field) => &[field],
                Subject::Either(pair) => &pair.fields(),
            };
            self.saw(fields, &(begin..end));
            Ok((left, Expr::from(Test { subject, condition })))
        };
        if alone && comparison == Comparison::None && !self.is_value(left, kind) {
            return finish(left, Condition::Present);
        }
        if let Comparison::Order(order) = comparison {
            if !matches!(kind, Kind::Number { .. } | Kind::Bytes | Kind::Span) {
                return fail(
                    Mistake::new("no-order", operator_at, format!("`{}` has no order", subject.name()))
                        .label("compares numbers only")
                        .help(format!("`{0} = …`, `{0} != …` and lists are possible", subject.name())),
                );
            }
            let span = first(left).span.clone();
            let (left, item) = self.item(left, subject, true)?;
            return match item {
                Item::Number(number) => finish(left, Condition::Compare(order, number)),
                _ => fail(
                    Mistake::new("order-of-range", span, format!("`{}` compares with one number", order.sign()))
                        .label("not one number")
                        .help(format!("ranges and lists are written without it: `{} 80:90`", subject.name())),
                ),
            };
        }
        let exact = comparison == Comparison::Equal;
        let (left, items) = if is_sign(left, Sign::OpenList) {
            self.list(left, subject)?
        } else {
            let (left, item) = self.item(left, subject, exact)?;
            (left, vec![item])
        };
        finish(left, if comparison == Comparison::NotIn { Condition::NotIn(items) } else { Condition::In(items) })
    }

    /// Whether a value of this kind may stand here.
    fn is_value(&self, input: Tokens<'_, '_>, kind: Kind) -> bool {
        match &first(input).kind {
            TokenKind::Sign(Sign::OpenList) | TokenKind::Quoted(_) => true,
            TokenKind::Word(word) => match kind {
                Kind::Word(words) => words.iter().any(|known| known.eq_ignore_ascii_case(word)),
                _ => word.starts_with(['@', ':']) || literal::looks_like_value(word),
            },
            _ => false,
        }
    }

    /// `{80, 443, 8000:8100}`
    fn list<'a, 't>(&self, input: Tokens<'a, 't>, subject: Subject) -> Parsed<'a, 't, Vec<Item>> {
        let open = first(input).span.clone();
        let mut input = rest(input);
        let mut items = Vec::new();
        if is_sign(input, Sign::CloseList) {
            return fail(
                Mistake::new("empty-list", open.start..first(input).span.end, "the list is empty")
                    .label("values are expected here"),
            );
        }
        loop {
            let (left, item) = self.item(input, subject, false)?;
            items.push(item);
            let token = first(left);
            match &token.kind {
                TokenKind::Sign(Sign::Comma) => input = rest(left),
                TokenKind::Sign(Sign::CloseList) => return Ok((rest(left), items)),
                TokenKind::End => {
                    return fail(
                        Mistake::new("open-list", open, "a list is never closed")
                            .label("opened here")
                            .help("write `}` behind the last value"),
                    );
                }
                _ => {
                    return fail(
                        Mistake::new("no-comma", token.span.clone(), "a comma is missing")
                            .label("`,` or `}` is expected before this")
                            .help("values of a list are separated by commas: `{80, 443}`"),
                    );
                }
            }
        }
    }

    /// One value. `exact`: `=` or an order stands before it, so that an open range would be odd.
    fn item<'a, 't>(&self, input: Tokens<'a, 't>, subject: Subject, exact: bool) -> Parsed<'a, 't, Item> {
        self.items.set(self.items.get() + 1);
        let token = first(input);
        let span = token.span.clone();
        let kind = subject.kind();
        let word = match &token.kind {
            TokenKind::Word(_) if operator(input).is_some() || is_word(input, "not") => {
                return fail(no_value(span, subject));
            }
            TokenKind::Word(word) => *word,
            TokenKind::Quoted(text) if kind == Kind::Text => {
                return Ok((rest(input), Item::Text(text.as_str().into())));
            }
            TokenKind::Quoted(text) => text.as_str(),
            TokenKind::Sign(Sign::OpenSlice) => {
                let help = format!("lists are in braces, with commas: `{} {{…, …}}`", subject.name());
                return fail(no_value(span, subject).help(help));
            }
            TokenKind::End | TokenKind::Sign(_) => return fail(no_value(span, subject)),
        };
        if let Some(name) = word.strip_prefix('@') {
            return match self.named(name, subject, &span) {
                Ok(item) => Ok((rest(input), item)),
                Err(mistake) => fail(*mistake),
            };
        }
        let next: Vec<&str> = input
            .iter()
            .skip(1)
            .take(2)
            .map_while(|token| match token.kind {
                TokenKind::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        let end = |used: usize| input.get(used).map_or(span.end, |token| token.span.end);
        let literal = Literal { word, next: &next, span: span.clone(), subject, exact, options: self.options };
        match literal.read() {
            Ok(read) => {
                let whole = span.start..end(read.used);
                self.notes.borrow_mut().extend(read.note.map(|note| Mistake { span: whole, ..note }));
                Ok((input.get(1 + read.used..).unwrap_or(input), read.item))
            }
            Err(mistake) => fail(*mistake),
        }
    }

    /// The items of a named list.
    fn named(&self, name: &str, subject: Subject, span: &Span) -> Result<Item, Box<Mistake>> {
        let wrong = |title: String| Box::new(Mistake::new("list", span.clone(), title).label("this list"));
        if name.is_empty() {
            return Err(Box::new(
                Mistake::new("list", span.clone(), "a list's name is missing")
                    .label("the name of a file is expected behind `@`")
                    .help("as in `src in @servers.txt`"),
            ));
        }
        let Some(read) = self.options.lists else {
            return Err(Box::new(
                Mistake::new("list", span.clone(), "lists from files cannot be read here").label("this list"),
            ));
        };
        let text = read(name).map_err(|why| wrong(format!("the list `{name}` cannot be read: {why}")))?;
        let mut items = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("");
            for word in line.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()) {
                let literal =
                    Literal { word, next: &[], span: span.clone(), subject, exact: false, options: self.options };
                let read = literal.read().map_err(|mistake| {
                    let mut said = wrong(format!("line {} of the list `{name}`: {}", index + 1, mistake.title));
                    said.help = mistake.help;
                    said
                })?;
                items.push(read.item);
                if items.len() > MAX_ITEMS {
                    return Err(wrong(format!("the list `{name}` has more than {MAX_ITEMS} values")));
                }
            }
        }
        if items.is_empty() {
            return Err(wrong(format!("the list `{name}` is empty")));
        }
        Ok(Item::List(List { name: name.into(), items: Arc::from(items) }))
    }
}

/// A field without its value.
fn no_value(span: Span, subject: Subject) -> Mistake {
    Mistake::new("no-value", span, format!("`{}` needs a value", subject.name()))
        .label(format!("{} is expected here", literal::describe(subject.kind())))
        .help(format!("as in `{} {}`", subject.name(), literal::example(subject.first())))
}

/// What stands between a field and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Comparison {
    None,
    /// `=`, behind which an open range is odd.
    Equal,
    In,
    NotIn,
    Order(Order),
}

fn operator(input: Tokens<'_, '_>) -> Option<Operator> {
    match &first(input).kind {
        TokenKind::Word(word) if word.eq_ignore_ascii_case("and") => Some(Operator::And),
        TokenKind::Word(word) if word.eq_ignore_ascii_case("or") => Some(Operator::Or),
        TokenKind::Sign(Sign::And) => Some(Operator::And),
        TokenKind::Sign(Sign::Or) => Some(Operator::Or),
        _ => None,
    }
}

/// `and` before `or`.
fn join(operands: &[Expr], operators: &[Operator]) -> Expr {
    let mut groups: Vec<Vec<Expr>> = Vec::new();
    for (index, operand) in operands.iter().enumerate() {
        match (groups.last_mut(), index.checked_sub(1).and_then(|before| operators.get(before))) {
            (Some(group), Some(Operator::And)) => group.push(operand.clone()),
            _ => groups.push(vec![operand.clone()]),
        }
    }
    Expr::or(groups.into_iter().map(Expr::and))
}

/// One level, from left to right, as CoMo and libpcap have it.
fn join_left_to_right(operands: Vec<Expr>, operators: &[Operator]) -> Expr {
    let mut operands = operands.into_iter();
    let mut whole = operands.next().unwrap_or(Expr::All);
    for (operand, operator) in operands.zip(operators) {
        whole = match operator {
            Operator::And => Expr::and([whole, operand]),
            Operator::Or => Expr::or([whole, operand]),
        };
    }
    whole
}

/// Whether the two ways to join give different trees: an `and` comes behind an `or`.
fn is_ambiguous(operators: &[Operator]) -> bool {
    let or = operators.iter().position(|operator| *operator == Operator::Or);
    or.is_some_and(|or| operators.iter().skip(or).any(|operator| *operator == Operator::And))
}

/// Every word that can begin a test or join two.
pub fn vocabulary() -> impl Iterator<Item = &'static str> {
    const MORE: [&str; 21] = [
        "all",
        "none",
        "not",
        "and",
        "or",
        "ip",
        "ip6",
        "gre",
        "src",
        "dst",
        "addr",
        "host",
        "net",
        "asn",
        "port",
        "outer.addr",
        "outer.port",
        "ether",
        "outer.host",
        "outer.net",
        "in",
    ];
    MORE.into_iter()
        .chain(PROTOCOL_WORDS.iter().map(|(word, _)| *word))
        .chain(ETHERTYPE_WORDS.iter().map(|(word, _)| *word))
        .chain(FLAG_WORDS.iter().map(|(word, _, _)| *word))
        .chain(TUNNELS.iter().copied())
        .chain(FIELDS.iter().map(|def| def.name).filter(|name| !name.contains(' ')))
}
