//! Scaling of rotary frequencies for inputs longer than the original training length.

use super::keys::Keys;
use crate::{Result, name};

/// How rotary frequencies are scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all (`default`).
    None,
    /// By a base that grows with inputs longer than the training length (`dynamic`).
    Dynamic {
        /// The factor.
        factor: f64,
        /// The training length in tokens.
        positions: f64,
    },
    /// Each pair divided by a factor of its own, one set for inputs up to the original training length and one for longer
    /// ones, and scaled queries and keys (`longrope`, Ding 2024).
    LongRope {
        /// Factors of inputs up to `old_positions`.
        short: Vec<f64>,
        /// Factors of longer ones.
        long: Vec<f64>,
        /// The original training length in tokens.
        old_positions: f64,
        /// The factor on queries and keys.
        size: f64,
    },
    /// All divided by a factor (`linear`).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies divided by a factor, high ones unchanged, interpolated in between (`llama3`).
    Llama3 {
        /// The factor.
        factor: f64,
        /// Rotations over the original length below which a frequency is low.
        low: f64,
        /// Rotations over the original length above which a frequency is high.
        high: f64,
        /// The original training length in tokens.
        old_positions: f64,
    },
    /// The same with interpolation over the pairs in between, and scaled queries and keys (`yarn`, Peng 2023).
    Yarn {
        /// The factor.
        factor: f64,
        /// Rotations over the original length above which a frequency is high.
        fast: f64,
        /// Rotations over the original length below which a frequency is low.
        slow: f64,
        /// Whether the interpolation begins and ends at whole pairs.
        whole: bool,
        /// The original training length in tokens.
        old_positions: f64,
        /// The factor on queries and keys.
        size: f64,
    },
}

const TYPES: [&str; 6] = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"];
const OLD_POSITIONS: &str = "original_max_position_embeddings";

impl Scaling {
    /// From a section of rotary settings; `width` is what is rotated of a head, `positions` the longest input. Of `keys`,
    /// those of the whole file, the original training length is read; `usual` is that of the family's class.
    pub(super) fn read(
        keys: &Keys<'_>,
        section: &Keys<'_>,
        positions: usize,
        usual: Option<f64>,
        width: usize,
    ) -> Result<Self> {
        // What stands beside the section takes precedence, as in transformers.
        let old_positions = || match usual {
            _ if keys.has(OLD_POSITIONS) => keys.positive(OLD_POSITIONS),
            Some(usual) => Ok(usual),
            None => section.positive_or(OLD_POSITIONS, positions as f64),
        };
        // Files before transformers 4.43 say `type`.
        match section.name("rope_type", section.name("type", "default")?)? {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: section.positive("factor")? }),
            "dynamic" => {
                Ok(Self::Dynamic { factor: section.positive("factor")?, positions: positions as f64 })
            }
            // The older names are those of Phi-3, whose scaling has always been this.
            "longrope" | "su" => {
                let factors = |key: &str| {
                    let factors = section.numbers(key)?;
                    let right = factors.len() == width / 2 && factors.iter().all(|factor| *factor > 0.0);
                    if right {
                        Ok(factors)
                    } else {
                        Err(section.wrong(key, format!("{} numbers above 0", width / 2)))
                    }
                };
                let (short, long) = (factors("short_factor")?, factors("long_factor")?);
                let old_positions = old_positions()?;
                let factor = section.positive_or("factor", positions as f64 / old_positions)?;
                if old_positions <= 1.0 {
                    let holder = if keys.has(OLD_POSITIONS) { keys } else { section };
                    return Err(holder.wrong(OLD_POSITIONS, "more than 1 token"));
                }
                let usual = if factor > 1.0 { (1.0 + factor.ln() / old_positions.ln()).sqrt() } else { 1.0 };
                let size = section.positive_or("attention_factor", usual)?;
                Ok(Self::LongRope { short, long, old_positions, size })
            }
            "yarn" => {
                let old_positions = old_positions()?;
                let factor = section.positive_or("factor", positions as f64 / old_positions)?;
                let slow = above_0(section, "beta_slow", 1.0)?;
                let fast = above_0(section, "beta_fast", 32.0)?;
                let (one, all) = (section.number("mscale", 0.0)?, section.number("mscale_all_dim", 0.0)?);
                let size = |scale: f64| 1.0 + 0.1 * scale * factor.max(1.0).ln();
                let usual = if one == 0.0 || all == 0.0 { size(1.0) } else { size(one) / size(all) };
                let size = section.positive_or("attention_factor", usual)?;
                let whole = section.flag("truncate", true)?;
                Ok(Self::Yarn { factor, fast, slow, whole, old_positions, size })
            }
            "llama3" => {
                let (low, high) =
                    (section.positive("low_freq_factor")?, section.positive("high_freq_factor")?);
                if low >= high {
                    return Err(
                        section.wrong("low_freq_factor", format!("less than high_freq_factor = {high}"))
                    );
                }
                let (factor, old_positions) = (section.positive("factor")?, old_positions()?);
                Ok(Self::Llama3 { factor, low, high, old_positions })
            }
            // Every known type has an arm above, so this is always an error.
            other => name::find("rope type", other, &TYPES, |name| name).map(|_| Self::None),
        }
    }

    /// The longest input of a model whose file says `positions`: a base that grows reaches further.
    pub(super) fn reach(&self, positions: usize) -> usize {
        let Self::Dynamic { factor, .. } = self else { return positions };
        positions.max((positions as f64 * factor) as usize)
    }

    /// The base in an input of n positions.
    pub(super) fn base(&self, theta: f64, d_h: usize, n: usize) -> f64 {
        let Self::Dynamic { factor, positions } = *self else { return theta };
        let stretched = factor * (n as f64).max(positions) / positions - (factor - 1.0);
        theta * stretched.powf(d_h as f64 / (d_h as f64 - 2.0))
    }

    /// The rotation of pair i of `d_h` / 2 for each position of n, in radians; theta is the base.
    pub(super) fn frequency(&self, i: usize, theta: f64, d_h: usize, n: usize) -> f64 {
        let frequency = theta.powf(-((2 * i) as f64) / d_h as f64);
        // The unchanged fraction of the frequency; the rest is divided by the factor.
        let (unchanged, factor) = match *self {
            Self::None | Self::Dynamic { .. } => return frequency,
            Self::LongRope { ref short, ref long, old_positions, .. } => {
                (0.0, if n as f64 > old_positions { long[i] } else { short[i] })
            }
            Self::Linear { factor } => (0.0, factor),
            Self::Llama3 { factor, low, high, old_positions } => {
                let turns = old_positions * frequency / std::f64::consts::TAU;
                (((turns - low) / (high - low)).clamp(0.0, 1.0), factor)
            }
            Self::Yarn { factor, fast, slow, whole, old_positions, .. } => {
                // The pair, as a real number, with so many rotations over the original length.
                let pair = |turns: f64| {
                    d_h as f64 * (old_positions / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
                };
                let (from, to) = (pair(fast), pair(slow));
                let (from, to) = if whole { (from.floor(), to.ceil()) } else { (from, to) };
                let (from, to) = (from.max(0.0), to.min(d_h as f64 - 1.0));
                let width = if from == to { 1e-3 } else { to - from };
                (1.0 - ((i as f64 - from) / width).clamp(0.0, 1.0), factor)
            }
        };
        frequency * (unchanged + (1.0 - unchanged) / factor)
    }

    /// The factor on queries and keys when they are rotated.
    pub(super) fn size(&self) -> f64 {
        if let Self::Yarn { size, .. } | Self::LongRope { size, .. } = *self { size } else { 1.0 }
    }
}

/// A number above 0, or the default where there is none or 0.
fn above_0(section: &Keys<'_>, key: &str, default: f64) -> Result<f64> {
    if section.number(key, 0.0)? == 0.0 { Ok(default) } else { section.positive(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from the published definition, worked by hand: old length 8192, factor 8, low 1, high 4.
    #[test]
    fn llama3_keeps_fast_pairs_and_slows_slow_ones() {
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, old_positions: 8192.0 };
        // Pair 1 of 2 turns by 1 / sqrt(theta).
        let stretched = |frequency: f64| scaling.frequency(1, frequency.powi(-2), 4, 8);
        assert_eq!(stretched(1.0), 1.0);
        assert!((stretched(1e-4) / (1e-4 / 8.0) - 1.0).abs() < 1e-12);
        let middle = std::f64::consts::TAU * 2.5 / 8192.0; // 2.5 turns: half way up the ramp
        assert!((stretched(middle) / middle - (0.5 + 0.5 / 8.0)).abs() < 1e-9);
    }

    /// The paper's example: Llama of 4096 tokens, theta 10,000 and heads of 128, scaled 16 times. Pairs up to 20
    /// make 32 turns or more, pairs from 46 on less than one; 1 + 0.1 ln 16 is the root of its temperature.
    #[test]
    fn yarn_keeps_fast_pairs_and_slows_slow_ones() {
        let size = 1.0 + 0.1 * 16.0_f64.ln();
        let yarn =
            Scaling::Yarn { factor: 16.0, fast: 32.0, slow: 1.0, whole: true, old_positions: 4096.0, size };
        let ratio = |i: usize| yarn.frequency(i, 1e4, 128, 8) * 1e4_f64.powf(2.0 * i as f64 / 128.0);
        assert!((ratio(20) - 1.0).abs() < 1e-12 && (ratio(46) - 1.0 / 16.0).abs() < 1e-12);
        assert!((ratio(33) - (0.5 + 0.5 / 16.0)).abs() < 1e-12);
        assert_eq!(yarn.size(), size);
    }
}
