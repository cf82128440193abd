//! Base64 with padding, RFC 4648, section 4.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Stands for a byte that is not in the alphabet. The values of the alphabet have none of its high bits.
const NONE: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Decodes base64. Returns nothing if the text is something else.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    let Some((last, whole)) = groups.split_last() else {
        return Some(bytes);
    };
    for &group in whole {
        bytes.extend_from_slice(&three(group)?);
    }
    let (padded, length) = match *last {
        [a, b, b'=', b'='] => ([a, b, b'A', b'A'], 1),
        [a, b, c, b'='] => ([a, b, c, b'A'], 2),
        group => (group, 3),
    };
    let decoded = three(padded)?;
    let (kept, dropped) = decoded.split_at(length);
    bytes.extend_from_slice(kept);
    // Otherwise several texts would stand for the same bytes.
    dropped.iter().all(|&byte| byte == 0).then_some(bytes)
}

fn three(group: [u8; 4]) -> Option<[u8; 3]> {
    let [a, b, c, d] = group.map(|byte| VALUES[usize::from(byte)]);
    if (a | b | c | d) == NONE {
        return None;
    }
    Some([a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d])
}
