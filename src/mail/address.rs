//! Who a mail goes to: what somebody typed, as addresses. Nothing in them can become another header or command.

use lettre::Address;

/// More people than this get no mail at once.
pub const MOST: usize = 20;

/// What is wrong with what was typed. For whoever typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nobody.
    #[error("no recipient is given")]
    Nobody,
    /// Too many.
    #[error("more than {MOST} recipients are given")]
    TooMany,
    /// No address.
    #[error("one of the recipients is no mail address: {0:?}")]
    Malformed(String),
}

/// The addresses in a text: separated by `;`, `,` or blanks, as Orthanc Explorer 2 separates them. Each once.
pub fn read(typed: &str) -> Result<Vec<Address>, AddressError> {
    let mut addresses: Vec<Address> = Vec::new();
    let parts = typed.split(|c: char| matches!(c, ';' | ',') || c.is_whitespace()).filter(|part| !part.is_empty());
    for part in parts {
        let malformed = || AddressError::Malformed(part.chars().take(80).collect());
        if !is_plain(part) {
            return Err(malformed());
        }
        let address: Address = part.parse().map_err(|_| malformed())?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        if addresses.len() > MOST {
            return Err(AddressError::TooMany);
        }
    }
    if addresses.is_empty() { Err(AddressError::Nobody) } else { Ok(addresses) }
}

/// An address as people have them: visible ASCII without quotes, brackets and comments, at a domain with a dot. RFC
/// 5321 has more, which serves none of ours, and disguises.
fn is_plain(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let local_is_plain =
        local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte));
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = labels.last().is_some_and(|top| top.bytes().any(|byte| byte.is_ascii_alphabetic()));
    text.len() <= 254
        && !local.is_empty()
        && local_is_plain
        && labels.len() > 1
        && labels.iter().all(is_label)
        && is_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_read() {
        for (typed, expected) in [
            ("a@b.example", vec!["a@b.example"]),
            (
                " a@b.example; c.d+e@f-g.example ,\n h@i.example",
                vec!["a@b.example", "c.d+e@f-g.example", "h@i.example"],
            ),
            ("a@b.example a@b.example", vec!["a@b.example"]),
        ] {
            let addresses: Vec<String> = read(typed).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(addresses, expected, "{typed:?}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for typed in [
            "a",
            "a@",
            "@b.example",
            "a@b",
            "a@b..example",
            "a@-b.example",
            "a@b.1",
            "a@[127.0.0.1]",
            "\"a b\"@c.example",
            "a@b.example>",
            "<a@b.example>",
            "a@b.example\u{0}",
            "ä@b.example",
            "a@b.exämple",
            "a@b@c.example",
            "a@b.example\u{202e}",
            "a..b@c.example",
            "(x)a@b.example",
            "a@b.example:25",
            "a\\@b.example",
        ] {
            assert!(matches!(read(typed), Err(AddressError::Malformed(_))), "{typed:?}: {:?}", read(typed));
        }
        // A line break parts two addresses, and the second is none.
        assert!(read("a@b.example\r\nBcc: c@d.example").is_err());
        assert_eq!(read(" ;, "), Err(AddressError::Nobody));
        let many: Vec<String> = (0..=MOST).map(|n| format!("a{n}@b.example")).collect();
        assert_eq!(read(&many.join(";")), Err(AddressError::TooMany));
        assert!(read(&format!("{}@b.example", "a".repeat(300))).is_err());
    }
}
