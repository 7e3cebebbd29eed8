//! Counts the lines of functions: from the line of `fn` to that of the closing brace.
//!
//! A scanner and no parser: it blanks what stands in comments and quotes, and counts brackets.

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Line of its `fn`, counted from 1.
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// All functions of a source file that have a body, in the order in which they begin.
pub(super) fn functions(source: &str) -> Vec<Function> {
    let code = blanked(source);
    let line_of = |at: usize| code[..at].matches('\n').count() + 1;
    let starts = code.match_indices("fn ").filter(|(at, _)| !is_word(code[..*at].chars().last()));
    let function = |(at, _): (usize, &str)| {
        let end = body_end(&code[at..])?;
        let name = code[at + 3..].chars().take_while(|c| is_word(Some(*c))).collect::<String>();
        let line = line_of(at);
        let is_named = !name.is_empty(); // a type of functions has no name
        is_named.then(|| Function { name, line, lines: line_of(at + end) - line + 1 })
    };
    starts.filter_map(function).collect()
}

fn is_word(last: Option<char>) -> bool {
    last.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Where the body of a function ends that begins here; `None` if it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            ';' if braces == 0 && others == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 && others == 0 => return Some(at),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// The source with blanks for what stands in comments, strings and characters; lines stay lines.
fn blanked(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden(rest, code.chars().last());
        if hidden == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        code.extend(rest[..hidden].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[hidden..];
    }
    code
}

/// Length of the comment or quote that begins here; 0 for code.
fn hidden(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if let Some(length) = raw_string(rest).filter(|_| !is_word(before)) {
        length
    } else if rest.starts_with('"') {
        quoted(rest, '"')
    } else if rest.starts_with('\'') {
        character(rest)
    } else {
        0
    }
}

/// The texts in quotes of a source file, those of its tests left out.
pub(super) fn texts(source: &str) -> Vec<&str> {
    let mut rest = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let (mut texts, mut before) = (Vec::new(), None);
    while let Some(first) = rest.chars().next() {
        let hidden = hidden(rest, before);
        let (text, left) = rest.split_at(hidden.max(first.len_utf8()));
        if hidden > 0 && !text.starts_with(['/', '\'']) {
            texts.push(text);
        }
        (before, rest) = (text.chars().last(), left);
    }
    texts
}

/// Length of a raw string that begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let text = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = rest.len() - text.len();
    Some(text.find(&end).map_or(rest.len(), |at| begin + at + end.len()))
}

/// Length of a text in quotes that begins here.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a character in quotes that begins here; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut inside = rest.chars().skip(1);
    match (inside.next(), inside.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
        _ => 0,
    }
}

#[test]
fn lines_are_counted_from_the_keyword_to_the_brace() {
    let source = r##"
/// fn no_code() {
pub(crate) fn long<'a>(text: &'a [u8; 3]) -> impl Fn(u8) -> u8 + 'a
where
    u8: Copy,
{
    let brace = ('{', '\'', "}\" {", r#"" } {"#, b'{');
    fn inner() { /* } */ }
    move |_| brace.2.len() as u8
}
trait T { fn no_body(&self) -> [u8; 2]; const fn one() -> fn(u8) {
    todo!()
} }
const ALIAS: fn(u8) = one;
"##;
    let found = functions(source);
    let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
    assert_eq!(found, [("long", 3, 8), ("inner", 8, 1), ("one", 11, 3)]);
}
