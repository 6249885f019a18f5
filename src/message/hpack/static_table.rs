//! The static table (RFC 7541 appendix A), and where a name stands in it.

use super::is_same;

/// How many fields it has; the dynamic table's places follow.
pub(super) const LENGTH: usize = 61;
/// The place of `:status`, where those of the commonest codes begin.
pub(super) const STATUS: u8 = 8;

/// Its fields by their places, which begin with 1.
const ALL: [(&[u8], &[u8]); LENGTH + 1] = [
    (b"", b""),
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

static FIELDS: [(&[u8], &[u8]); LENGTH + 1] = ALL;

/// The field at a place, if there is one.
#[inline]
pub(super) fn get(place: usize) -> Option<(&'static [u8], &'static [u8])> {
    if place == 0 { None } else { FIELDS.get(place).copied() }
}

/// The first place of a name; 0: it has none.
pub(super) fn find(name: &[u8]) -> u8 {
    let place = PLACES[slot(name)];
    let is_it = FIELDS.get(usize::from(place)).is_some_and(|(known, _)| is_same(known, name));
    if is_it { place } else { 0 }
}

/// The place of a whole field, by the first place of its name; 0: it has none.
#[inline]
pub(super) fn find_value(name: u8, value: &[u8]) -> u8 {
    // Behind it no field has a value.
    const LAST_VALUE: u8 = 16;
    match (name, value) {
        (0, _) => 0,
        (..=LAST_VALUE, _) => find_among(name, value),
        (_, []) => name,
        _ => 0,
    }
}

fn find_among(name: u8, value: &[u8]) -> u8 {
    let mut places = match name {
        2 | 4 | 6 => name..name + 2,
        STATUS => STATUS..15,
        _ => name..name + 1,
    };
    places.find(|place| FIELDS.get(usize::from(*place)).is_some_and(|f| f.1 == value)).unwrap_or(0)
}

/// Makes the slots of all names differ. It was found by trying.
const FACTOR: u32 = 0x3f81_1bab;
const SLOTS: usize = 128;

/// The first place of the name of each slot.
static PLACES: [u8; SLOTS] = {
    let mut places = [0; SLOTS];
    let mut place = LENGTH;
    while place > 0 {
        let at = slot(ALL[place].0);
        let before = places[at] as usize;
        assert!(before == 0 || before == place + 1, "two names in one slot");
        places[at] = place as u8;
        place -= 1;
    }
    places
};

const fn slot(name: &[u8]) -> usize {
    (hash(name) >> (32 - SLOTS.trailing_zeros())) as usize
}

/// From its length and three of its letters.
#[inline]
pub(super) const fn hash(name: &[u8]) -> u32 {
    let [first, .., last] = name else { return name.len() as u32 };
    let key = u32::from_le_bytes([*first, name[name.len() / 2], *last, name.len() as u8]);
    key.wrapping_mul(FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_field_is_found_and_no_other() {
        for place in 1..=LENGTH {
            let (name, value) = get(place).unwrap();
            let first = (1..=LENGTH).find(|p| get(*p).unwrap().0 == name).unwrap();
            assert_eq!(usize::from(find(name)), first);
            assert_eq!(usize::from(find_value(find(name), value)), place);
            assert_eq!(find_value(find(name), b"else"), 0);
            assert_eq!(find(&name[1..]), 0);
            assert_eq!(find(&[name, b"x"].concat()), 0);
        }
        assert_eq!([find(b""), find(b"x"), find(b"Accept")], [0; 3]);
        assert!(get(0).is_none() && get(62).is_none());
    }
}
