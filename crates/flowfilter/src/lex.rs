//! From text to tokens.

use nom::IResult;
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::anychar;
use nom::combinator::{recognize, value};
use nom::multi::many0_count;

use crate::error::{Mistake, Span};

/// One token with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    pub kind: TokenKind<'t>,
    pub span: Span,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenKind<'t> {
    /// Letters, digits and what stands within addresses and names. What it means depends on where it stands.
    Word(&'t str),
    /// Text in quotes, without them.
    Quoted(String),
    Sign(Sign),
    /// Behind the last token.
    End,
}

impl TokenKind<'_> {
    /// A word, or what is in quotes.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Quoted(text) => Some(text),
            Self::Sign(_) | Self::End => None,
        }
    }
}

/// Punctuation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    Open,
    Close,
    OpenList,
    CloseList,
    OpenSlice,
    CloseSlice,
    Comma,
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    /// A single `&`, as in other languages' bit tests.
    Ampersand,
    /// A single `|`.
    Bar,
}

type Lexed<'t, T> = IResult<&'t str, T>;

fn sign(input: &str) -> Lexed<'_, Sign> {
    // Longer ones first.
    let double = alt((
        value(Sign::And, tag("&&")),
        value(Sign::Or, tag("||")),
        value(Sign::Equal, tag("==")),
        value(Sign::NotEqual, tag("!=")),
        value(Sign::AtMost, tag("<=")),
        value(Sign::AtLeast, tag(">=")),
    ));
    let single = alt((
        value(Sign::Open, tag("(")),
        value(Sign::Close, tag(")")),
        value(Sign::OpenList, tag("{")),
        value(Sign::CloseList, tag("}")),
        value(Sign::OpenSlice, tag("[")),
        value(Sign::CloseSlice, tag("]")),
        value(Sign::Comma, tag(",")),
        value(Sign::Not, tag("!")),
        value(Sign::Equal, tag("=")),
        value(Sign::Less, tag("<")),
        value(Sign::More, tag(">")),
        value(Sign::Ampersand, tag("&")),
        value(Sign::Bar, tag("|")),
    ));
    alt((double, single)).parse(input)
}

/// Whether a character may stand in a word.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "_.:/@%-*+?~$\\^".contains(c)
}

fn word(input: &str) -> Lexed<'_, &str> {
    take_while1(is_word).parse(input)
}

/// Blanks and comments, which go from `#` to the end of the line.
fn blank(input: &str) -> Lexed<'_, &str> {
    let comment = recognize((tag("#"), take_till(|c| c == '\n')));
    recognize(many0_count(alt((take_while1(char::is_whitespace), comment)))).parse(input)
}

/// The inside of a quoted text, where a backslash stands before a quote or itself; `None` if it does not end.
fn quoted(input: &str, quote: char) -> Option<(&str, String)> {
    let mut text = String::new();
    let mut chars = input.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, next)) if next == quote || next == '\\' => text.push(next),
                Some((_, next)) => text.extend(['\\', next]),
                None => return None,
            },
            c if c == quote => return Some((&input[at + c.len_utf8()..], text)),
            c => text.push(c),
        }
    }
    None
}

/// All tokens of a text; the last is [`TokenKind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, Mistake> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let offset = |rest: &str| text.len() - rest.len();
    loop {
        if let Ok((behind, _)) = blank(rest) {
            rest = behind;
        }
        let start = offset(rest);
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: TokenKind::End, span: start..start });
            return Ok(tokens);
        };
        let kind = if let Ok((behind, sign)) = sign(rest) {
            rest = behind;
            TokenKind::Sign(sign)
        } else if let Ok((behind, word)) = word(rest) {
            rest = behind;
            TokenKind::Word(word)
        } else if matches!(first, '"' | '\'') {
            let Some((behind, inside)) = quoted(&rest[1..], first) else {
                return Err(Mistake::new("open-quote", start..start + 1, "a quotation mark is never closed")
                    .label("opened here")
                    .help(format!("put `{first}` behind the text")));
            };
            rest = behind;
            TokenKind::Quoted(inside)
        } else {
            let strange = recognize((
                anychar::<&str, nom::error::Error<&str>>,
                take_while(|c: char| !c.is_whitespace() && !c.is_ascii()),
            ));
            let (_, strange) = { strange }.parse(rest).unwrap_or((rest, rest));
            let end = start + strange.len();
            let mistake =
                Mistake::new("unknown-character", start..end, format!("`{strange}` means nothing in a filter"))
                    .label("not a word, a number or a sign");
            return Err(match first {
                ';' => mistake.help("tests are joined with `and`, `or`"),
                '`' => mistake.help("text is quoted with `\"` or `'`"),
                _ => mistake,
            });
        };
        tokens.push(Token { kind, span: start..offset(rest) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind<'_>> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn addresses_ranges_and_paths_are_words() {
        for word in ["10.0.0.0/8", "fe80::1%eth0", "5000:6000", ":80", "aa:bb:cc:dd:ee:ff", "@lists/web.txt", "10MiB"] {
            assert_eq!(kinds(word), [TokenKind::Word(word), TokenKind::End]);
        }
    }

    #[test]
    fn signs_need_no_blanks_and_comments_are_blanks() {
        use Sign::{And, Close, Equal, Not, Open};
        assert_eq!(
            kinds("!(tcp&&port==80)# why\n"),
            [
                TokenKind::Sign(Not),
                TokenKind::Sign(Open),
                TokenKind::Word("tcp"),
                TokenKind::Sign(And),
                TokenKind::Word("port"),
                TokenKind::Sign(Equal),
                TokenKind::Word("80"),
                TokenKind::Sign(Close),
                TokenKind::End
            ]
        );
    }

    #[test]
    fn quotes_keep_what_is_in_them() {
        assert_eq!(kinds(r#""a \"b\" \c #""#), [TokenKind::Quoted(r#"a "b" \c #"#.into()), TokenKind::End]);
        assert_eq!(tokens("'never").unwrap_err().code, "open-quote");
    }

    #[test]
    fn spans_are_places_in_the_text() {
        let spans: Vec<_> = tokens(" µs  <=").unwrap().into_iter().map(|token| token.span).collect();
        assert_eq!(spans, [1..4, 6..8, 8..8]);
    }
}
