//! What layers both ways allocate beside the closed form, where no sweep goes: norms before blocks, untied projections.

use luna::attention::luna_causal::Weight;
use luna::model::encoder::{EncoderConfig, Mechanism};
use luna::profile::memory;
use luna::train::{Layers, Rows};
use ndarray::Array2;

#[test]
fn layers_of_every_kind_allocate_what_their_closed_form_says() {
    let (b, n, d) = (2, 150, 48);
    let causal = |tied| Mechanism::LunaCausal { l: 7, tied, weight: Weight::Softplus };
    let luna = |tied| Mechanism::Luna { l: 7, tied };
    let mechanisms =
        [Mechanism::Softmax, Mechanism::Linear, luna(true), luna(false), causal(true), causal(false)];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for mechanism in mechanisms {
        // A wide feed-forward network is the worst moment, and a narrow one is not.
        for (pre_norm, ffn) in [(false, 16), (true, 16), (true, 200)] {
            let config = EncoderConfig {
                pre_norm,
                causal: matches!(mechanism, Mechanism::LunaCausal { .. }),
                ..EncoderConfig::new(mechanism, d, 3, ffn, 2)
            };
            let layers = Layers::new(&config).unwrap();
            let numbers = layers.draw(0);
            let rows = Rows::of([n; 2]);
            let pass = || {
                let mut gradients = vec![0.0; numbers.len()];
                let x = Array2::from_shape_fn((b * n, d), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 5.0);
                let d_out = x.clone();
                let run = || layers.pass(&numbers, &mut gradients, x, &rows, d_out.view(), None).unwrap();
                memory::peak_of(run).1.expect("the allocator of these tests counts") as f64
            };
            // The first takes what products keep.
            let found = pool.install(|| [pass(), pass()])[1];
            let formula = config.train_extra_bytes(b, n, 1) as f64;
            let what = format!("{mechanism:?} {pre_norm} {ffn}: {found} beside {formula}");
            assert!((found - formula).abs() <= 0.002 * formula + 8192.0, "{what}");
        }
    }
}
