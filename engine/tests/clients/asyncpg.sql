-- What asyncpg 0.32 sends for a query with parameters; it knows Postgres' own types, arrays included, by itself.

select top_logits, index from features where density > '1' and model_id = any('{a}'::text[])
;
