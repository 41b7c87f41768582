//! Addresses with variables: `{name}` stands for a value with everything
//! percent-encoded that is not unreserved, `{+name}` for one that keeps reserved
//! characters too (RFC 6570, levels 1 and 2), but for parentheses, which mark what is
//! filled in later.

use std::fmt::Write as _;

/// One piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// The value of a variable.
    Variable {
        name: &'a str,
        /// Whether reserved characters stay as they are.
        keeps_reserved: bool,
    },
}

/// Takes a template apart. A brace that opens and does not close is text.
pub(crate) fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inside) = rest.strip_prefix('{')
            && let Some((name, after)) = inside.split_once('}')
        {
            rest = after;
            return Some(Piece::Variable {
                name: name.strip_prefix('+').unwrap_or(name),
                keeps_reserved: name.starts_with('+'),
            });
        }
        let end = rest[1..].find('{').map_or(rest.len(), |found| found + 1);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}

/// The value as it stands in a path or a query.
pub(crate) fn encoded(value: &str, keeps_reserved: bool) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_reserved = b":/@!$&'*+,;=".contains(&byte);
        if is_unreserved || (keeps_reserved && is_reserved) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_falls_into_texts_and_variables() {
        let all: Vec<_> = pieces("/m/{model}:run/{+path}{x").collect();
        let variable = |name, keeps_reserved| Piece::Variable {
            name,
            keeps_reserved,
        };
        assert_eq!(
            all,
            [
                Piece::Text("/m/"),
                variable("model", false),
                Piece::Text(":run/"),
                variable("path", true),
                Piece::Text("{x"),
            ]
        );
        assert_eq!(pieces("").count(), 0);
        assert_eq!(pieces("{").collect::<Vec<_>>(), [Piece::Text("{")]);
    }

    #[test]
    fn values_cannot_leave_their_place() {
        assert_eq!(
            encoded("a:0/b?c#d%e é", false),
            "a%3A0%2Fb%3Fc%23d%25e%20%C3%A9"
        );
        assert_eq!(
            encoded("a:0/b@1?c#d%(x)", true),
            "a:0/b@1%3Fc%23d%25%28x%29"
        );
    }
}
