//! How near two points of a layout have to be to count as neighbours: `1 / (1 + a·x^2b)` at the distance `x`.

/// Up to where the curve is fitted, and at how many distances: umap-learn's.
const FAR: f64 = 3.0;
const SAMPLES: u32 = 300;
/// Steps of the fit. It settles in about ten.
const STEPS: usize = 100;

/// The curve of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    pub(super) a: f32,
    pub(super) b: f32,
}

impl Curve {
    /// The one that is nearest, by least squares, to 1 up to `min_dist` and `exp(min_dist - x)` from there on
    /// (McInnes et al. 2018, section 4.2). Found by the method of Levenberg and Marquardt.
    pub(super) fn fit(min_dist: f32) -> Self {
        let min_dist = f64::from(min_dist);
        let (mut best, mut damping) = ((1.0, 1.0), 1e-3);
        let mut best_error = squared_error(best, min_dist);
        for _ in 0..STEPS {
            let next = step(best, damping, min_dist);
            let error = squared_error(next, min_dist);
            if error < best_error {
                (best, best_error, damping) = (next, error, damping / 3.0);
            } else {
                damping *= 3.0;
            }
        }
        Self { a: best.0 as f32, b: best.1 as f32 }
    }
}

/// Distances, with the membership that is wished for there.
fn wished(min_dist: f64) -> impl Iterator<Item = (f64, f64)> {
    let distances = (1..SAMPLES).map(|sample| FAR * f64::from(sample) / f64::from(SAMPLES - 1));
    distances.map(move |x| (x, if x < min_dist { 1.0 } else { (min_dist - x).exp() }))
}

fn squared_error((a, b): (f64, f64), min_dist: f64) -> f64 {
    wished(min_dist).map(|(x, wish)| (wish - 1.0 / (1.0 + a * x.powf(2.0 * b))).powi(2)).sum()
}

/// Solves `(JᵀJ + damping·diag(JᵀJ)) δ = Jᵀr`, where `J` holds the derivatives of the curve and `r` what it lacks.
fn step((a, b): (f64, f64), damping: f64, min_dist: f64) -> (f64, f64) {
    let (mut aa, mut ab, mut bb, mut ar, mut br) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (x, wish) in wished(min_dist) {
        let power = x.powf(2.0 * b);
        let value = 1.0 / (1.0 + a * power);
        let by_a = -power * value * value;
        let by_b = by_a * a * 2.0 * x.ln();
        aa += by_a * by_a;
        ab += by_a * by_b;
        bb += by_b * by_b;
        ar += by_a * (wish - value);
        br += by_b * (wish - value);
    }
    let (aa, bb) = (aa * (1.0 + damping), bb * (1.0 + damping));
    let determinant = aa * bb - ab * ab;
    (a + (ar * bb - br * ab) / determinant, b + (br * aa - ar * ab) / determinant)
}

#[cfg(test)]
mod tests {
    use super::Curve;

    #[test]
    fn the_curve_is_the_one_that_umap_learn_fits() {
        for (min_dist, a, b) in [
            (0.0, 1.932_808, 0.790_495),
            (0.1, 1.576_943, 0.895_061),
            (0.5, 0.583_030, 1.334_167),
            (1.0, 0.114_976, 1.929_237),
        ] {
            let curve = Curve::fit(min_dist);
            assert!((curve.a - a).abs() < 1e-4 && (curve.b - b).abs() < 1e-4, "{min_dist}: {curve:?}");
        }
    }
}
