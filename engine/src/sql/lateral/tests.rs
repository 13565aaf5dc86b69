#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::test_session::{query, rows};

#[tokio::test]
async fn unnest_sees_the_table_before_it_in_every_notation() {
    let expected = ["1|10", "1|20", "4|40"];
    for from in [
        "p, unnest(p.x) AS u(w)",
        "p, LATERAL unnest(p.x) AS u(w)",
        "p CROSS JOIN LATERAL unnest(p.x) AS u(w)",
        "p CROSS JOIN unnest(p.x) AS u(w)",
        "p JOIN LATERAL unnest(p.x) AS u(w) ON true",
        "p, unnest(x) u(w)",
        "p, LATERAL (SELECT * FROM unnest(p.x) AS i(w)) u",
        "p, LATERAL (SELECT unnest(p.x) AS w) u",
    ] {
        assert_eq!(rows(&format!("SELECT p.id, u.w FROM {from} ORDER BY 1, 2")).await, expected, "{from}");
    }
}

#[tokio::test]
async fn left_join_keeps_rows_without_elements() {
    let kept = rows("SELECT p.id, u.w FROM p LEFT JOIN LATERAL unnest(p.x) AS u(w) ON true ORDER BY 1, 2").await;
    assert_eq!(kept, ["1|10", "1|20", "2|null", "3|null", "4|40"]);
    let refused = query("SELECT * FROM p LEFT JOIN LATERAL unnest(p.x) AS u(w) ON u.w > 10").await.unwrap_err();
    assert!(refused.to_string().contains("ON true"), "{refused}");
}

#[tokio::test]
async fn several_lists_are_unnested_side_by_side_and_padded() {
    let padded = rows("SELECT p.id, u.a, u.b FROM p, unnest(p.x, p.y) AS u(a, b) ORDER BY 1, 3").await;
    assert_eq!(padded, ["1|10|a", "1|20|b", "2|null|c", "4|40|d"]);
}

#[tokio::test]
async fn ordinality_counts_from_one() {
    let counted = rows("SELECT p.id, u.w, u.n FROM p, unnest(p.y) WITH ORDINALITY AS u(w, n) ORDER BY 1, 3").await;
    assert_eq!(counted, ["1|a|1", "1|b|2", "2|c|1", "4|d|1"]);
    assert_eq!(rows("SELECT * FROM unnest(['x', 'y']) WITH ORDINALITY").await, ["x|1", "y|2"]);
}

#[tokio::test]
async fn options_go_by_name_and_have_defaults() {
    let two = rows("SELECT t.rank, t.token FROM p, top_logits(p.y, p.x, k => 1) t ORDER BY p.id").await;
    assert_eq!(two, ["1|a", "1|d"]);
    let all = rows("SELECT token FROM top_logits(logits => [1.0, 2.0], tokens => ['u', 'v'])").await;
    assert_eq!(all, ["u", "v"]);
    for (call, problem) in [
        ("top_logits(['u'], [1.0], j => 1)", "there is no option \"j\""),
        ("top_logits(['u'])", "\"logits\" is missing"),
        ("top_logits(['u'], [1.0], 1, 2)", "too many arguments"),
        ("top_logits(tokens => ['u'], [1.0])", "cannot follow"),
    ] {
        let error = query(&format!("SELECT * FROM {call}")).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{call}: {error}");
    }
}

#[tokio::test]
async fn the_same_name_is_a_list_of_structs_outside_from() {
    let list = rows("SELECT top_logits(['u', 'v'], [1.0, 2.0], k => 1)").await;
    assert_eq!(list, ["[{rank: 1, token: u, logit: 1.0}]"]);
    assert_eq!(rows("SELECT top_logits(['u'], [1.0])[1]['token']").await, ["u"]);
}

#[tokio::test]
async fn a_series_runs_from_constants_and_from_columns() {
    assert_eq!(rows("SELECT i FROM generate_series(1, 3) AS i").await, ["1", "2", "3"]);
    assert_eq!(rows("SELECT * FROM generate_series(3, 1, step => -1)").await, ["3", "2", "1"]);
    assert_eq!(rows("SELECT count(*) FROM generate_series(1, 3000000)").await, ["3000000"]);
    let from_columns = rows("SELECT n.k, s FROM n, generate_series(1, n.k) AS s WHERE n.k < 3 ORDER BY 1, 2").await;
    assert_eq!(from_columns, ["1|1", "2|1", "2|2"]);
}

#[tokio::test]
async fn calls_nest_in_subqueries_joins_and_each_other() {
    let nested = rows(
        "WITH u AS (SELECT p.id, w FROM p, unnest(p.x) AS t(w)) \
         SELECT n.k, sum(u.w) FROM n JOIN u ON u.id = n.k GROUP BY n.k",
    )
    .await;
    assert_eq!(nested, ["1|30"]);
    let chained = rows(
        "SELECT p.id, a.w, b.i FROM p, unnest(p.x) AS a(w), generate_series(1, a.w / 20) AS b(i) ORDER BY 1, 2, 3",
    )
    .await;
    assert_eq!(chained, ["1|20|1", "4|40|1", "4|40|2"]);
    let joined = rows(
        "SELECT p.id, u.w, n.k FROM p CROSS JOIN LATERAL (SELECT t.w FROM unnest(p.x) AS t(w) WHERE t.w > 15) u \
         JOIN n ON n.k = p.id ORDER BY 1",
    )
    .await;
    assert_eq!(joined, ["1|20|1"]);
    let same_name = rows("SELECT p.id, u.id FROM p, unnest(p.x) AS u(id) ORDER BY 1, 2").await;
    assert_eq!(same_name, ["1|10", "1|20", "4|40"]);
}

#[tokio::test]
async fn what_is_no_array_is_refused_with_a_remedy() {
    let error = query("SELECT * FROM p, unnest(p.id) AS u(w)").await.unwrap_err().to_string();
    assert!(error.contains("needs an array"), "{error}");
}

#[tokio::test]
async fn a_scalar_function_in_from_gives_one_row() {
    assert_eq!(rows("SELECT * FROM quote_literal('a')").await, ["'a'"]);
}
