"""Ten questions that people ask of feature dashboards, in the words of each schema.

LatentDB and DuckDB see the same tables. Lists count from 1 in all three dialects, token positions from 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question by name, and its SQL for each side."""

    name: str
    latentdb: str
    postgres: str
    duckdb: str = ""  # where DuckDB spells it otherwise

    def text(self, side: str) -> str:
        return getattr(self, side) or self.latentdb


QUESTIONS = [
    Question(
        "densest features per source",
        """SELECT source_id, index, density FROM (
             SELECT source_id, index, density,
                    row_number() OVER (PARTITION BY model_id, source_id ORDER BY density DESC, index) AS place
             FROM features) ranked
           WHERE place <= 10 ORDER BY source_id, place""",
        """SELECT layer, "index"::int, frac_nonzero FROM (
             SELECT layer, "index", frac_nonzero,
                    row_number() OVER (PARTITION BY "modelId", layer ORDER BY frac_nonzero DESC, "index"::int) AS place
             FROM "Neuron") ranked
           WHERE place <= 10 ORDER BY layer, place""",
    ),
    Question(
        "histogram of max activations",
        """SELECT CAST(floor(max_activation / 4) AS int) AS bin, count(*) FROM features
           WHERE max_activation > 0 GROUP BY 1 ORDER BY 1""",
        """SELECT floor("maxActApprox" / 4)::int AS bin, count(*) FROM "Neuron"
           WHERE "maxActApprox" > 0 GROUP BY 1 ORDER BY 1""",
    ),
    Question(
        "top activating tokens across features",
        """SELECT c.tokens[a.max_position + 1] AS token, count(*) AS times, max(a.max_value) AS strongest
           FROM activations a JOIN contexts c ON c.context_id = a.context_id
           GROUP BY 1 ORDER BY times DESC, token LIMIT 20""",
        """SELECT tokens["maxValueTokenIndex" + 1] AS token, count(*) AS times, max("maxValue") AS strongest
           FROM "Activation" GROUP BY 1 ORDER BY times DESC, token LIMIT 20""",
    ),
    Question(
        "features whose top logit is X",
        """SELECT index, top_logits[1], density FROM features
           WHERE top_logit_tokens[1] = '{token}' ORDER BY index""",
        """SELECT "index"::int, pos_values[1], frac_nonzero FROM "Neuron"
           WHERE pos_str[1] = '{token}' ORDER BY 1""",
    ),
    Question(
        "features without activations",
        """SELECT f.source_id, count(*), min(f.index), max(f.index) FROM features f
           WHERE NOT EXISTS (SELECT 1 FROM activations a WHERE a.model_id = f.model_id
                             AND a.source_id = f.source_id AND a.index = f.index)
           GROUP BY 1 ORDER BY 1""",
        """SELECT f.layer, count(*), min(f."index"::int), max(f."index"::int) FROM "Neuron" f
           WHERE NOT EXISTS (SELECT 1 FROM "Activation" a WHERE a."modelId" = f."modelId"
                             AND a.layer = f.layer AND a."index" = f."index")
           GROUP BY 1 ORDER BY 1""",
    ),
    Question(
        "densest features explained by a word",
        """SELECT f.index, e.description, f.density
           FROM explanations e JOIN features f ON f.model_id = e.model_id AND f.source_id = e.source_id AND f.index = e.index
           WHERE e.description ILIKE '%legal%' ORDER BY f.density DESC, f.index LIMIT 20""",
        """SELECT f."index"::int, e.description, f.frac_nonzero
           FROM "Explanation" e JOIN "Neuron" f ON f."modelId" = e."modelId" AND f.layer = e.layer AND f."index" = e."index"
           WHERE e.description ILIKE '%legal%' ORDER BY f.frac_nonzero DESC, 1 LIMIT 20""",
    ),
    Question(
        "features that fire on most tokens of their contexts",
        """SELECT index, avg(cardinality(positions)) AS active FROM activations
           GROUP BY model_id, source_id, index ORDER BY active DESC, index LIMIT 20""",
        """SELECT "index"::int, avg((SELECT count(*) FROM unnest("values") AS u(v) WHERE v <> 0)) AS active
           FROM "Activation" GROUP BY "modelId", layer, "index" ORDER BY active DESC, 1 LIMIT 20""",
        """SELECT index, avg(len(positions)) AS active FROM activations
           GROUP BY model_id, source_id, index ORDER BY active DESC, index LIMIT 20""",
    ),
    Question(
        "contexts that most features fire on",
        """SELECT count(DISTINCT index) AS fires, max(max_value) FROM activations
           GROUP BY context_id ORDER BY fires DESC, 2 DESC LIMIT 20""",
        # Contexts have no key there. Grouping by a digest is ten times faster than by the list of tokens.
        """SELECT count(*) AS fires, max(strongest) FROM (
             SELECT md5(tokens::text) AS context, "index", max("maxValue") AS strongest
             FROM "Activation" GROUP BY 1, 2) fired
           GROUP BY context ORDER BY fires DESC, 2 DESC LIMIT 20""",
    ),
    Question(
        "features that are nearest to most others",
        """SELECT n, count(*) AS times FROM (SELECT unnest(nearest_indices) AS n FROM features) hubs
           GROUP BY n ORDER BY times DESC, n LIMIT 20""",
        """SELECT n, count(*) AS times FROM (SELECT unnest("topkCosSimIndices") AS n FROM "Neuron") hubs
           GROUP BY n ORDER BY times DESC, n LIMIT 20""",
    ),
    Question(
        "strongest activations and their tokens",
        """SELECT a.index, a.max_value, c.tokens[a.max_position + 1]
           FROM activations a JOIN contexts c ON c.context_id = a.context_id
           ORDER BY a.max_value DESC, a.index LIMIT 50""",
        """SELECT "index"::int, "maxValue", tokens["maxValueTokenIndex" + 1]
           FROM "Activation" ORDER BY "maxValue" DESC, 1 LIMIT 50""",
    ),
]
