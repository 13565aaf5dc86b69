-- What the tests add to the demo: labels that people wrote, a large source, and a source whose every text is hostile.

INSERT INTO explanations (explanation_id, model_id, source_id, index, description, method, author, created_at) VALUES
  ('test-1', 'docs-3m', '3-res', 80, 'assertions and errors', 'human', 'tests', now()),
  ('test-2', 'docs-3m', '3-res', 716, 'memory that is zeroed or initialized', 'human', 'tests', now()),
  ('test-3', 'docs-3m', '3-res', 514, 'waiting, and what is executed later', 'human', 'tests', now()),
  ('test-4', 'docs-3m', '3-res', 6, 'indefinite articles', 'human', 'tests', now()),
  ('test-5', 'docs-3m', '3-res', 511, 'otherwise and yet: a contrast follows', 'human', 'tests', now()),
  ('test-6', 'docs-3m', '3-res', 228, 'what one may or must do', 'human', 'tests', now());
INSERT INTO explanation_scores (score_id, explanation_id, method, scorer_model, value, created_at) VALUES
  ('test-score-1', 'test-1', 'detection', 'tests', 0.82, now());

INSERT INTO vectors (vector_id, model_id, hook_point, label, vector, default_strength, created_at)
SELECT 'test-direction', 'docs-3m', 'blocks.3.hook_resid_post', 'a direction of the tests', decoder_vector('docs-3m/3-res/80'), 20, now();

INSERT INTO models (model_id, display_name) VALUES ('large', 'Large');
INSERT INTO source_sets (model_id, set_id, kind) VALUES ('large', 'big', 'sae');
INSERT INTO sources (model_id, source_id, set_id, layer, d_sae) VALUES ('large', '0-big', 'big', 0, 24576);
INSERT INTO features (model_id, source_id, index, density, max_activation, top_logit_tokens, top_logits)
SELECT 'large', '0-big', f.index + 1024 * g.n, f.density / (g.n + 1), f.max_activation, f.top_logit_tokens, f.top_logits
FROM features f CROSS JOIN (SELECT generate_series AS n FROM generate_series(0, 23)) g
WHERE f.model_id = 'docs-3m' AND f.source_id = '3-res';

INSERT INTO models (model_id, display_name, owner, website) VALUES
  ('<i>hostile', '<img src=x onerror="window.pwned=1">', '"><script>window.pwned=1</script>', 'javascript:window.pwned=1');
INSERT INTO source_sets (model_id, set_id, kind, description, urls) VALUES
  ('<i>hostile', '<b>set', '<u>', '<svg onload="window.pwned=1">', ARRAY['javascript:window.pwned=1', 'https://example.org/']);
INSERT INTO sources (model_id, source_id, set_id, layer, d_sae, hook_point, notes) VALUES
  ('<i>hostile', '0-"''<s>', '<b>set', 0, 3, '<iframe src="javascript:window.pwned=1">', '</pre><script>window.pwned=1</script>');
INSERT INTO features (model_id, source_id, index, density, max_activation, top_logit_tokens, top_logits, bottom_logit_tokens,
  bottom_logits, act_hist_edges, act_hist_counts, umap_x, umap_y)
SELECT '<i>hostile', '0-"''<s>', n, 0.01, 5, ARRAY['<script>window.pwned=1</script>', chr(8238) || 'abc', '', chr(10)],
  ARRAY[1, 0.9, 0.8, 0.7]::real[], ARRAY['<img src=x onerror=window.pwned=1>', repeat('Z', 5000)], ARRAY[-1, -0.9]::real[],
  ARRAY[1, 2, 3]::real[], ARRAY[3, 2, 1]::real[], n, n
FROM (SELECT generate_series AS n FROM generate_series(0, 2)) AS s;
INSERT INTO contexts (context_id, model_id, tokens) VALUES
  (1, '<i>hostile', ARRAY['<script>', 'window.pwned=1', '</script>', chr(8238) || 'right to left', chr(8203), '&lt;', '<img src=x onerror=window.pwned=1>', repeat('long', 5000)]);
INSERT INTO activations (model_id, source_id, index, rank, context_id, positions, acts, max_value, max_position)
SELECT '<i>hostile', '0-"''<s>', n, 0, 1, ARRAY[0, 1, 3, 6, 7], ARRAY[1, 2, 5, 3, 4]::real[], 5, 3
FROM (SELECT generate_series AS n FROM generate_series(0, 2)) AS s;
INSERT INTO explanations (explanation_id, model_id, source_id, index, description, method, explainer_model, created_at) VALUES
  ('hostile-0', '<i>hostile', '0-"''<s>', 0, '<script>window.pwned=1</script><img src=x onerror="window.pwned=1"> hostile label', '<b>method', '<i>model', now()),
  ('hostile-1', '<i>hostile', '0-"''<s>', 1, 'safe' || chr(8238) || 'exe.txt hostile label', 'human', null, now()),
  ('hostile-2', '<i>hostile', '0-"''<s>', 2, repeat('hostile label ', 75000), 'human', null, now());
