//! Numbers as text, without the machinery of `fmt`: records and messages are full of them.

/// Appends `number` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let (mut rest, mut used) = (number, 0);
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(DECIMAL_BYTES_MAX - used..).unwrap_or_default());
}

/// Appends `bytes` in hexadecimal, lower case.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
    // A piece at a time in a fixed place, where the compiler works on many digits at once.
    for piece in bytes.chunks(HEX_PIECE_BYTES) {
        let mut digits = [[0; 2]; HEX_PIECE_BYTES];
        for (pair, byte) in digits.iter_mut().zip(piece) {
            *pair = [digit(byte >> 4), digit(byte & 0xf)];
        }
        out.extend_from_slice(digits.as_flattened().get(..2 * piece.len()).unwrap_or_default());
    }
}

/// As long as a hash.
const HEX_PIECE_BYTES: usize = 32;

/// Digits of the largest number.
const DECIMAL_BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_fmt_writes_them() {
        for number in [0, 1, 9, 10, 99, 100, 1_000_000_007, u64::MAX - 1, u64::MAX] {
            let mut out = b"x".to_vec();
            push_decimal(&mut out, number);
            assert_eq!(String::from_utf8_lossy(&out), format!("x{number}"));
            let mut out = b"x".to_vec();
            push_hex(&mut out, &number.to_be_bytes());
            assert_eq!(String::from_utf8_lossy(&out), format!("x{number:016x}"));
        }
    }
}
