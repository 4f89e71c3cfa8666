//! What every test needs that starts the real program.

use std::fs::File;

/// The program, as cargo built it for these tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_berth");

/// 32 bytes in base64, of this run only.
pub(crate) fn key() -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0; 42];
    std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 64]));
    // 42 letters and one whose last two bits are zero are 32 bytes.
    letters.chain(['A', '=']).collect()
}
