//! The price list, as data. An operator's own prices (`BERTH_MODEL_PRICES`) go before it.

use super::Price;

/// Where these prices were read.
pub const PRICES_OF: &str = "https://platform.claude.com/docs/en/about-claude/pricing";

/// When they were read.
pub const PRICES_SEEN: &str = "2026-11-21";

/// Name, title and price: standard service, in every region, one price whatever the length of a call.
///
/// A model whose price depends on the length of a call is not here, nor is one that is not offered to everybody.
pub const PRICES: &[(&str, &str, Price)] = &[
    ("claude-haiku-4-5", "Claude Haiku 4.5", price([1_000, 1_250, 2_000, 100, 5_000], 200_000, 64_000)),
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", price([2_000, 2_500, 4_000, 100, 10_000], 1_000_000, 128_000)),
    ("claude-sonnet-5", "Claude Sonnet 5", price([2_000, 2_500, 4_000, 200, 10_000], 1_000_000, 128_000)),
    ("claude-opus-5-5", "Claude Opus 5.5", price([4_000, 5_000, 8_000, 200, 20_000], 1_000_000, 128_000)),
    ("claude-opus-5", "Claude Opus 5", price([5_000, 6_250, 10_000, 500, 25_000], 1_000_000, 128_000)),
];

/// Thousandths of a dollar for a million tokens: in, written for 5 minutes, written for an hour, read, out.
const fn price(milli_dollars: [u64; 5], context_tokens: u64, answer_tokens: u64) -> Price {
    let [input, minutes, hour, cache_read, output] = milli_dollars;
    Price {
        input: input * 1_000,
        cache_write_5m: minutes * 1_000,
        cache_write_1h: hour * 1_000,
        cache_read: cache_read * 1_000,
        output: output * 1_000,
        context_tokens,
        answer_tokens,
    }
}
