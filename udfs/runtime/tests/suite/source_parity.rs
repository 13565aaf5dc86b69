//! Every architecture and every format gives the numbers of its own library.

#![allow(clippy::unwrap_used)]

use crate::source_cases::{Case, assert_close};

/// Encodes, decodes and passes through, as the files stand and with the decoder's norms folded.
fn check(name: &str) {
    let case = Case::load(name);
    let (x, sequences) = (case.input(), case.sequences());
    for (fold, prefix) in [(false, ""), (true, "folded_")] {
        let source = case.open(fold);
        // Where nothing can be folded, asking for it changes nothing.
        let can_fold = case.find("folded_encode").is_some();
        let prefix = if can_fold { prefix } else { "" };
        assert_eq!(source.config().folded, fold && can_fold, "{name}");
        let encoded = source.encode_for_decode(&x, &sequences).unwrap();
        let what = |part: &str| format!("{name} {prefix}{part}");
        let expected = |part: &str| case.expected(&format!("{prefix}{part}"));
        assert_close(&encoded.features, expected("encode"), true, &what("encode"));
        let decoded = source.decode(expected("encode"), Some(&encoded.norms)).unwrap();
        assert_close(&decoded, expected("decode"), false, &what("decode"));
        if source.config().reconstructs {
            assert_close(&source.forward(&x, &sequences).unwrap(), expected("forward"), false, &what("forward"));
        }
    }
}

macro_rules! parity {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

/// SAELens' own format, each architecture.
mod native_gives_saelens_numbers {
    use super::check;
    parity! {
        standard standard_uncentred standard_layer_norm standard_constant_norm standard_hook_z gated jumprelu topk
        topk_rescaled abstopk abstopk_rescaled transcoder transcoder_layer_norm skip_transcoder jumprelu_transcoder
        jumprelu_skip_transcoder matching_pursuit matching_pursuit_uncentred temporal temporal_untied averaged_norm
        averaged_norm_matching_pursuit whitened_standard whitened_gated whitened_topk_rescaled pre6_standard pre6_topk
        pre6_averaged_norm half_precision
    }
}

/// Other formats, as SAELens reads them.
mod foreign_formats_give_saelens_numbers {
    use super::check;
    parity! {
        gemma_scope_residual gemma_scope_compressed gemma_scope_embedding gemma_scope_transcoder
        gemma_scope_2_residual gemma_scope_2_affine_transcoder gemma_scope_2_cross_layer llama_scope
        llama_scope_r1_distill dictionary_learning_standard dictionary_learning_gated dictionary_learning_topk
        dictionary_learning_batch_topk dictionary_learning_matryoshka dictionary_learning_jumprelu deepseek_r1 goodfire
        qwen_scope connor_rob mwhanna cross_layer temporal_published
    }
}

/// Formats that SAELens lacks or reads wrongly, by the formulas of their own libraries.
mod foreign_formats_give_their_own_librarys_numbers {
    use super::check;
    parity! {
        dictionary_learning_new sparsify_topk sparsify_groupmax sparsify_skip_transcoder circuit_tracer_relu
        circuit_tracer_jumprelu_skip circuit_tracer_topk cross_layer_jumprelu
    }
}
