//! A tiny, valid picture per person, made by code: eight by eight grey squares, mirrored, from a number.

/// Pixels along a side.
const SIDE: u32 = 16;

/// A PNG file (grey, 8 bits) that depends on nothing but the seed.
pub(super) fn portrait(seed: u64) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend(SIDE.to_be_bytes());
    head.extend(SIDE.to_be_bytes());
    head.extend([8, 0, 0, 0, 0]);
    chunk(&mut out, *b"IHDR", &head);
    chunk(&mut out, *b"IDAT", &stored(&pixels(seed)));
    chunk(&mut out, *b"IEND", &[]);
    out
}

/// Rows with their filter byte. Each square is two by two pixels; the right half mirrors the left.
fn pixels(seed: u64) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..SIDE {
        rows.push(0);
        for x in 0..SIDE {
            let column = (x / 2).min(7_u32.saturating_sub(x / 2));
            let bit = (y / 2).wrapping_mul(4).wrapping_add(column);
            let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(bit);
            rows.push(if mixed & 1 == 1 { 0x30 } else { 0xD0 });
        }
    }
    rows
}

/// A zlib stream of one stored block; the picture is far below its limit of 65,535 bytes.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(data);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = a.wrapping_add(u32::from(*byte)) % 65_521;
        b = b.wrapping_add(a) % 65_521;
    }
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    out.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut crc = u32::MAX;
    for byte in kind.iter().chain(data) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
        }
    }
    out.extend(kind);
    out.extend(data);
    out.extend((!crc).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portrait_ends_with_the_chunk_every_png_ends_with() {
        let picture = portrait(7);
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(picture.ends_with(&[0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82]));
        assert_ne!(picture, portrait(8));
    }
}
