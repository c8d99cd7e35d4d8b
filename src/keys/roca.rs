//! RSA keys whose primes a faulty library made (CVE-2017-15361, "ROCA"): whoever has the certificate can compute the private
//! key. Every such modulus is a power of 65537 modulo each of many small primes; by chance that is one in 2^27.

/// Small primes.
const PRIMES: [u32; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// The generator that the library used.
const GENERATOR: u32 = 65_537;

/// Whether a big-endian modulus has the fingerprint.
pub(super) fn is_roca(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|prime| is_power(remainder(modulus, *prime), *prime))
}

/// Whether a number is a power of the generator modulo the prime.
fn is_power(number: u32, prime: u32) -> bool {
    let mut power = 1;
    loop {
        if power == number {
            return true;
        }
        power = GENERATOR
            .wrapping_mul(power)
            .checked_rem(prime)
            .unwrap_or(1);
        if power == 1 {
            return false;
        }
    }
}

fn remainder(modulus: &[u8], prime: u32) -> u32 {
    modulus.iter().fold(0u32, |rest, byte| {
        rest.wrapping_mul(256)
            .wrapping_add(u32::from(*byte))
            .checked_rem(prime)
            .unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_are_found_and_their_neighbours_are_not() {
        let product = u128::from(GENERATOR).pow(7).to_be_bytes();
        assert!(is_roca(&product));
        let neighbour = (u128::from(GENERATOR).pow(7) + 2).to_be_bytes();
        assert!(!is_roca(&neighbour));
        assert!(!is_roca(&[0]));
    }
}
