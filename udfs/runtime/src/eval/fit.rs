//! How near a reconstruction `y` comes to what is there, `x`.

use super::sums::add_each;

/// Below this length, SAELens does not divide by it.
const SHORTEST: f64 = 1e-4;

/// Sums over tokens of what reconstructions and activations have in common. Widths are those of the output point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Tokens looked at.
    pub(super) tokens: u64,
    /// `[width]`: of `x`.
    sum: Vec<f64>,
    /// Of `‖x‖²`.
    squares: f64,
    /// Of `‖x − y‖²`.
    residual: f64,
    /// Of `1 − ‖x − y‖² / ‖x − m‖²`, with `m` the mean of the token's sequence.
    legacy: f64,
    /// How many tokens that was defined for: one that is the mean of its sequence has nothing to compare with.
    legacy_tokens: u64,
    /// Of cosines; 0 where `x` or `y` is 0.
    cosine: f64,
    /// Of `‖x‖`.
    norm_in: f64,
    /// Of `‖y‖`.
    norm_out: f64,
    /// Of `‖y‖ / ‖x‖`.
    norm_ratio: f64,
    /// Of `‖y‖²`.
    squares_out: f64,
    /// Of `⟨x, y⟩`.
    product: f64,
}

impl Fit {
    pub(super) fn new(width: usize) -> Self {
        Self {
            tokens: 0,
            sum: vec![0.0; width],
            squares: 0.0,
            residual: 0.0,
            legacy: 0.0,
            legacy_tokens: 0,
            cosine: 0.0,
            norm_in: 0.0,
            norm_out: 0.0,
            norm_ratio: 0.0,
            squares_out: 0.0,
            product: 0.0,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.sum.len()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        add_each(&mut self.sum, &other.sum);
        self.squares += other.squares;
        self.residual += other.residual;
        self.legacy += other.legacy;
        self.legacy_tokens += other.legacy_tokens;
        self.cosine += other.cosine;
        self.norm_in += other.norm_in;
        self.norm_out += other.norm_out;
        self.norm_ratio += other.norm_ratio;
        self.squares_out += other.squares_out;
        self.product += other.product;
    }

    /// Takes the tokens of one sequence in: `x` and `y` of each, of this width.
    pub(super) fn read(&mut self, tokens: &[(&[f32], &[f32])]) {
        let mut sum = vec![0.0; self.width()];
        for (x, _) in tokens {
            sum.iter_mut().zip(*x).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let mean: Vec<f64> = sum.iter().map(|sum| sum / tokens.len() as f64).collect();
        for (x, y) in tokens {
            self.read_token(x, y, &mean);
        }
        self.tokens += tokens.len() as u64;
        add_each(&mut self.sum, &sum);
    }

    fn read_token(&mut self, x: &[f32], y: &[f32], mean: &[f64]) {
        let (mut squares, mut squares_out, mut product, mut residual, mut deviation) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for ((x, y), mean) in x.iter().zip(y).zip(mean) {
            let (x, y) = (f64::from(*x), f64::from(*y));
            squares += x * x;
            squares_out += y * y;
            product += x * y;
            residual += (x - y) * (x - y);
            deviation += (x - mean) * (x - mean);
        }
        let (norm_in, norm_out) = (squares.sqrt(), squares_out.sqrt());
        self.squares += squares;
        self.squares_out += squares_out;
        self.product += product;
        self.residual += residual;
        self.norm_in += norm_in;
        self.norm_out += norm_out;
        self.norm_ratio += if norm_in < SHORTEST { norm_out } else { norm_out / norm_in };
        if norm_in * norm_out != 0.0 {
            self.cosine += product / (norm_in * norm_out);
        }
        if deviation != 0.0 {
            self.legacy += 1.0 - residual / deviation;
            self.legacy_tokens += 1;
        }
    }

    /// Metrics of how good the reconstruction is, by name.
    pub(super) fn quality(&self) -> [(&'static str, f64); 4] {
        [
            ("explained_variance", self.explained_variance()),
            ("explained_variance_legacy", self.legacy / self.legacy_tokens as f64),
            ("mse", self.mean(self.residual)),
            ("cossim", self.mean(self.cosine)),
        ]
    }

    /// Metrics of how much smaller the reconstruction is, by name.
    pub(super) fn shrinkage(&self) -> [(&'static str, f64); 4] {
        [
            ("l2_norm_in", self.mean(self.norm_in)),
            ("l2_norm_out", self.mean(self.norm_out)),
            ("l2_ratio", self.mean(self.norm_ratio)),
            ("relative_reconstruction_bias", self.squares_out / self.product),
        ]
    }

    /// `1 − E‖x − y‖² / (E‖x‖² − ‖E x‖²)`; where `x` is always the same, 1 if it was met and else 0.
    fn explained_variance(&self) -> f64 {
        let of_mean: f64 = self.sum.iter().map(|sum| self.mean(*sum).powi(2)).sum();
        let (variance, residual) = (self.mean(self.squares) - of_mean, self.mean(self.residual));
        match variance < 1e-10 {
            true => f64::from(u8::from(residual < 1e-10)),
            false => 1.0 - residual / variance,
        }
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.tokens as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Fit;

    fn metric(fit: &Fit, name: &str) -> f64 {
        fit.quality().into_iter().chain(fit.shrinkage()).find(|(known, _)| *known == name).unwrap().1
    }

    #[test]
    fn two_tokens_by_hand() {
        let mut fit = Fit::new(2);
        fit.read(&[(&[3.0, 0.0], &[3.0, 1.0]), (&[1.0, 0.0], &[0.0, 0.0])]);
        // Variance: (9 + 1) / 2 − 2² = 1; residuals 1 and 1; the mean of the sequence is (2, 0).
        assert_eq!(metric(&fit, "explained_variance"), 0.0);
        assert_eq!(metric(&fit, "explained_variance_legacy"), 0.0);
        assert_eq!(metric(&fit, "mse"), 1.0);
        assert!((metric(&fit, "cossim") - 0.5 * 3.0 / 10f64.sqrt()).abs() < 1e-12);
        assert_eq!(metric(&fit, "relative_reconstruction_bias"), 10.0 / 9.0);
        assert_eq!(metric(&fit, "l2_norm_in"), 2.0);
    }

    #[test]
    fn a_sequence_of_one_token_has_no_variance_of_its_own() {
        let mut fit = Fit::new(1);
        fit.read(&[(&[2.0], &[1.0])]);
        assert_eq!(metric(&fit, "explained_variance"), 0.0);
        assert!(metric(&fit, "explained_variance_legacy").is_nan(), "it is not defined for any token");
        fit.read(&[(&[1.0], &[1.0]), (&[3.0], &[3.0])]);
        assert_eq!(metric(&fit, "explained_variance_legacy"), 1.0);
    }
}
