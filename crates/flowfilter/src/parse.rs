//! The grammar: chains of tests joined by operators, parentheses, and what each word begins.

mod leaf;
mod values;

use std::cell::{Cell, RefCell};

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser as _, branch::alt};

use crate::ast::{Condition, ETHERTYPE_WORDS, Expr, FLAG_WORDS, Item, PROTOCOL_WORDS, Subject, Test};
use crate::error::{Mend, Mistake, Span};
use crate::field::{FIELDS, Field, FieldSet, TUNNELS};
use crate::filter::{Compat, Options};
use crate::foreign;
use crate::lex::{Sign, Token, TokenKind};
use crate::literal;
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

/// The same fault, mended otherwise.
fn mending(error: nom::Err<Fault>, other: impl FnOnce(Mend) -> Option<Mend>) -> nom::Err<Fault> {
    error.map(|mut fault| {
        if let Some(mistake) = &mut fault.mistake {
            mistake.mend = mistake.mend.take().and_then(|mend| other(*mend)).map(Box::new);
        }
        fault
    })
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

fn too_deep(span: Span) -> Mistake {
    Mistake::new("too-deep", span, format!("nested more than {MAX_DEPTH} levels deep"))
        .label("here")
        .help("join tests with `or` on one level, or use a list: `port {80, 443}`")
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
            Ok((left, _)) => Err(self.trailing(left, None)),
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

    /// Operands and operators on one level of parentheses, joined as they bind: all up to the end or `)`.
    fn chain<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        let (behind, operand) = self.operand(input, depth)?;
        let (mut operands, mut spans) = (vec![operand], vec![between(input, behind)]);
        let mut operators = Vec::new();
        let mut input = behind;
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
            let (left, operand) = self.operand(behind, depth)?;
            operands.push(operand);
            operators.push(operator);
            spans.push(between(behind, left));
            input = left;
        }
        if first(input).kind != TokenKind::End && !is_sign(input, Sign::Close) {
            // Read on one level, `and` would join more than the operand before it.
            let is_alone = self.options.compat == Compat::None || !operators.contains(&Operator::Or);
            return fail(self.trailing(input, operands.last().filter(|_| is_alone)));
        }
        let usual = join(&operands, &operators);
        let mixed = is_ambiguous(&operators);
        if !mixed || self.options.compat == Compat::None {
            self.warn_of_no_header(&operands, &operators, &spans);
        }
        if !mixed {
            return Ok((input, usual));
        }
        let (start, end) = (spans[0].start, spans[spans.len() - 1].end);
        // Read on one level, every change of the operator is a pair of parentheses.
        let turns = operators.windows(2).filter(|two| two[0] != two[1]).count();
        let level = (depth + turns <= MAX_DEPTH).then(|| join_left_to_right(operands, &operators));
        match (self.options.compat, level) {
            (Compat::None, Some(level)) => self.warn_of(start..end, &usual, &level),
            (Compat::None, None) => {}
            (_, Some(level)) => return Ok((input, level)),
            (_, None) => return fail(too_deep(start..end)),
        }
        Ok((input, usual))
    }

    /// Says how others read a chain.
    fn warn_of(&self, span: Span, usual: &Expr, level: &Expr) {
        let short = |expr: &Expr| suggest::short(&expr.to_string());
        self.notes.borrow_mut().push(
            Mistake::new("mixed-operators", span, "`and` binds tighter than `or` here")
                .label(format!("read as: {}", short(usual)))
                .help(format!("CoMo and libpcap read from left to right: {}", short(level)))
                .help("parentheses say which is meant, --filter-compat como|libpcap reads it their way"),
        );
    }

    /// Notes where what stands in IP headers is asked of frames that have none, as libpcap's addresses within ARP.
    fn warn_of_no_header(&self, operands: &[Expr], operators: &[Operator], spans: &[Span]) {
        let mut begin = 0;
        for end in 1..=operands.len() {
            // Behind the last operand there is no operator.
            if operators.get(end - 1) == Some(&Operator::And) {
                continue;
            }
            let joined = begin..end;
            begin = end;
            let Some(frames) = joined.clone().find(|&at| has_no_header(&operands[at])) else { continue };
            let Some(asked) = joined.clone().find(|&at| at != frames && asks_header(&operands[at])) else { continue };
            let shown = suggest::short(self.shown(&spans[frames]));
            self.notes.borrow_mut().push(
                Mistake::new(
                    "no-header",
                    spans[asked].clone(),
                    format!("`{shown}` has no IP header, and addresses within it are no field"),
                )
                .label("asked of IP headers")
                .help(format!(
                    "`{shown}` alone selects all of it; with this only what is in a tunnel, by the tunnel's header"
                )),
            );
        }
    }

    fn shown(&self, span: &Span) -> &'p str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// A negation, something in parentheses, or a test.
    fn operand<'a, 't>(&self, input: Tokens<'a, 't>, depth: usize) -> Parsed<'a, 't, Expr> {
        if depth > MAX_DEPTH {
            return fail(too_deep(first(input).span.clone()));
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
            _ => fail(never_closed()),
        }
    }

    /// What to say of a token behind a complete test, `before`.
    fn trailing(&self, input: Tokens<'_, '_>, before: Option<&Expr>) -> Mistake {
        let token = first(input);
        let span = token.span.clone();
        let shown = self.shown(&span);
        let unexpected = |label: &str| {
            Mistake::new("unexpected", span.clone(), format!("`{shown}` is unexpected here")).label(label)
        };
        let missing = || {
            let mistake = Mistake::new("missing-operator", span.start..span.start, "an operator is missing")
                .label("`and` or `or` is expected here");
            if before.is_some_and(|before| is_narrowed(before, input)) { mistake.mend(" and ", false) } else { mistake }
        };
        match &token.kind {
            TokenKind::Sign(Sign::Open | Sign::Not) => missing(),
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
            TokenKind::Sign(Sign::OpenSlice) => foreign::slice(input),
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
                if self.begins_test(&word.to_ascii_lowercase()) {
                    missing()
                } else {
                    // Before a value stands a field.
                    let is_field = self::word(rest(input)).is_some_and(literal::looks_like_value);
                    let field = ["port", "host", "net", "src", "dst", "addr", "sport", "dport"];
                    let field = suggest::nearest(word, field).filter(|_| is_field);
                    match field.or_else(|| suggest::nearest(word, ["and", "or", "&&", "||"])) {
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

/// From the first token of `input` to the last before `left`.
fn between(input: Tokens<'_, '_>, left: Tokens<'_, '_>) -> Span {
    let start = first(input).span.start;
    let consumed = input.len() - left.len();
    start..input.get(consumed.wrapping_sub(1)).map_or(start, |token| token.span.end)
}

/// Whether what stands behind a protocol must be meant of its packets: another field of theirs.
fn is_narrowed(before: &Expr, mut input: Tokens<'_, '_>) -> bool {
    while is_word(input, "not") || is_sign(input, Sign::Not) || is_sign(input, Sign::Open) {
        input = rest(input);
    }
    let next = word(input).and_then(|next| words().find(|(word, _)| next.eq_ignore_ascii_case(word)));
    let Some((_, Some(field))) = next else { return false };
    names_protocol(before) && !before.fields().contains(field) && field != Field::Ethertype
}

/// Whether the test, or the first of several, is of a protocol.
fn names_protocol(expr: &Expr) -> bool {
    match expr {
        Expr::Test(Test { subject: Subject::One(field), .. }) => {
            matches!(field, Field::Version | Field::Proto | Field::Tunnel)
        }
        Expr::And(all) => all.first().is_some_and(names_protocol),
        Expr::Or(all) => all.iter().all(names_protocol),
        _ => false,
    }
}

/// Whether only frames pass that carry no IP packet.
fn has_no_header(expr: &Expr) -> bool {
    match expr {
        Expr::And(all) => all.iter().any(has_no_header),
        Expr::Or(all) => all.iter().all(has_no_header),
        Expr::Test(Test { subject: Subject::One(Field::Ethertype), condition: Condition::In(items) }) => {
            items.iter().all(|item| ETHERTYPE_WORDS.iter().any(|(_, known)| *item == Item::Number(*known)))
        }
        _ => false,
    }
}

/// Whether only packets pass that have an IP header.
fn asks_header(expr: &Expr) -> bool {
    match expr {
        Expr::And(all) => all.iter().any(asks_header),
        Expr::Or(all) => all.iter().all(asks_header),
        Expr::Test(test) => matches!(
            test.subject.first(),
            Field::Version
                | Field::Proto
                | Field::SrcAddr
                | Field::DstAddr
                | Field::SrcPort
                | Field::DstPort
                | Field::SrcAsn
                | Field::DstAsn
                | Field::TcpFlags
                | Field::IcmpType
                | Field::IcmpCode
        ),
        Expr::All | Expr::None | Expr::Not(_) => false,
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
    words().map(|(word, _)| word)
}

/// Those of them that ask for no other fields than these.
pub fn vocabulary_of(known: FieldSet) -> impl Iterator<Item = &'static str> {
    words().filter(move |(_, field)| field.is_none_or(|field| known.contains(field))).map(|(word, _)| word)
}

/// Each word, and the field that it asks for; of a pair the first.
fn words() -> impl Iterator<Item = (&'static str, Option<Field>)> {
    const MORE: [(&str, Option<Field>); 21] = [
        ("all", None),
        ("none", None),
        ("not", None),
        ("and", None),
        ("or", None),
        ("ip", Some(Field::Version)),
        ("ip6", Some(Field::Version)),
        ("gre", Some(Field::Tunnel)),
        ("src", Some(Field::SrcAddr)),
        ("dst", Some(Field::DstAddr)),
        ("addr", Some(Field::SrcAddr)),
        ("host", Some(Field::SrcAddr)),
        ("net", Some(Field::SrcAddr)),
        ("asn", Some(Field::SrcAsn)),
        ("port", Some(Field::SrcPort)),
        ("outer.addr", Some(Field::OuterSrcAddr)),
        ("outer.port", Some(Field::OuterSrcPort)),
        ("ether", Some(Field::SrcMac)),
        ("outer.host", Some(Field::OuterSrcAddr)),
        ("outer.net", Some(Field::OuterSrcAddr)),
        ("in", None),
    ];
    MORE.into_iter()
        .chain(PROTOCOL_WORDS.iter().map(|(word, _)| (*word, Some(Field::Proto))))
        .chain(ETHERTYPE_WORDS.iter().map(|(word, _)| (*word, Some(Field::Ethertype))))
        .chain(FLAG_WORDS.iter().map(|(word, _, _)| (*word, Some(Field::TcpFlags))))
        .chain(TUNNELS.iter().map(|word| (*word, Some(Field::Tunnel))))
        .chain(FIELDS.iter().filter(|def| !def.name.contains(' ')).map(|def| (def.name, Some(def.field))))
}
