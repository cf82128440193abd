//! Tests of lists as a caller uses them.

use super::rotation::Rotation;
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

pub(super) fn id(number: usize) -> Id {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_le_bytes());
    id
}

pub(super) fn number(id: &Id) -> usize {
    usize::from_le_bytes(*id.first_chunk().unwrap())
}

fn list_of(vectors: &[Vec<f32>]) -> List {
    let ids: Vec<Id> = (0..vectors.len()).map(id).collect();
    let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    build_list(&ids, &vectors).unwrap()
}

/// The cosine similarity.
fn cosine(left: &[f32], right: &[f32]) -> f64 {
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// Numbers of a normal distribution, by their sums of twelve (Irwin and Hall), the same for a seed.
pub(super) fn normal(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        let twelve = (0..12).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        });
        twelve.sum::<f32>() - 6.0
    }
}

/// Vectors as models make them, and as nobody should.
pub(super) fn kinds(dimensions: usize, count: usize) -> Vec<(&'static str, Vec<Vec<f32>>)> {
    let mut number = normal(7);
    let plain: Vec<Vec<f32>> = (0..count)
        .map(|_| (0..dimensions).map(|_| number()).collect())
        .collect();
    let each = |change: &dyn Fn(usize, f32) -> f32| -> Vec<Vec<f32>> {
        let changed = |vector: &Vec<f32>| {
            vector
                .iter()
                .enumerate()
                .map(|(place, &number)| change(place, number))
                .collect()
        };
        plain.iter().map(changed).collect()
    };
    vec![
        (
            "with a large mean",
            each(&|place, number| number + if place % 3 == 0 { 4.0 } else { 1.0 }),
        ),
        ("of one sign", each(&|_, number| number.abs() + 0.1)),
        (
            "sparse",
            each(&|place, number| {
                if place == 0 || number > 2.0 {
                    number.abs() + 0.01
                } else {
                    0.0
                }
            }),
        ),
        (
            "with few large numbers",
            each(&|place, number| if place < 5 { 100.0 * number } else { number }),
        ),
        ("plain", plain),
    ]
}

/// What a caller does: compares the best candidates with their vectors until no other can be better. The similarities found,
/// and how many vectors were fetched.
fn search(list: &List, vectors: &[Vec<f32>], query: &[f32], count: usize) -> (Vec<f64>, usize) {
    let list_query = Query::new(query).unwrap().against(&list.centroid).unwrap();
    let mut depth = count;
    loop {
        let mut candidates = Candidates::new(depth);
        for page in &list.pages {
            assert!(list_query.scan(&Page::parse(page).unwrap(), &mut candidates, |_| true));
        }
        let ranked = candidates.finish();
        let mut found: Vec<f64> = Vec::new();
        let worst = |found: &Vec<f64>| found.get(count - 1).map_or(f64::NEG_INFINITY, |worst| *worst);
        let mut fetched = 0;
        for candidate in &ranked.candidates {
            if worst(&found) >= f64::from(candidate.upper) {
                return (found, fetched);
            }
            fetched += 1;
            found.push(cosine(query, &vectors[number(&candidate.id)]));
            found.sort_by(|left, right| right.total_cmp(left));
            found.truncate(count);
        }
        if worst(&found) >= f64::from(ranked.floor) || ranked.floor == f32::NEG_INFINITY {
            return (found, fetched);
        }
        depth *= 4;
    }
}

#[test]
fn estimates_are_right_on_average_and_as_wrong_as_they_say() {
    for dimensions in [100, 384, 768, 1536] {
        for (kind, vectors) in kinds(dimensions, 300) {
            let (queries, vectors) = vectors.split_at(20);
            let list = list_of(vectors);
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for query in queries {
                let list_query = Query::new(query).unwrap().against(&list.centroid).unwrap();
                for page in &list.pages {
                    let page = Page::parse(page).unwrap();
                    for (place, id) in page.ids().iter().enumerate() {
                        let estimate = list_query.estimate(&page, place).unwrap();
                        let wrong = cosine(query, &vectors[number(id)]) - f64::from(estimate.similarity);
                        let wrong = wrong / f64::from(estimate.error);
                        (sum, squares, count) = (sum + wrong, squares + wrong * wrong, count + 1.0);
                    }
                }
            }
            let (mean, deviation) = (sum / count, (squares / count).sqrt());
            assert!(mean.abs() < 0.1, "{kind}, {dimensions}: {mean}");
            assert!(
                (0.85..1.1).contains(&deviation),
                "{kind}, {dimensions}: {deviation}"
            );
        }
    }
}

#[test]
fn the_nearest_are_found_by_few_vectors() {
    let (mut found, mut wanted) = (0, 0);
    for dimensions in [100, 384, 768, 1536] {
        for (kind, vectors) in kinds(dimensions, 1010) {
            let (queries, vectors) = vectors.split_at(10);
            let list = list_of(vectors);
            let mut fetched = 0;
            for query in queries {
                let mut similar: Vec<f64> = vectors.iter().map(|vector| cosine(query, vector)).collect();
                similar.sort_by(|left, right| right.total_cmp(left));
                let (nearest, fetches) = search(&list, vectors, query, 10);
                assert_eq!(nearest.len(), 10);
                found += nearest
                    .iter()
                    .filter(|similarity| **similarity >= similar[9] - 1e-9)
                    .count();
                (wanted, fetched) = (wanted + 10, fetched + fetches);
            }
            // Random vectors are the hardest: all of them are nearly as far.
            assert!(fetched < 10 * 300, "{kind}, {dimensions}: {fetched}");
        }
    }
    assert!(found as f64 >= 0.993 * f64::from(wanted), "{found} of {wanted}");
}

#[test]
fn copies_of_the_centroid_are_exact() {
    let mut number = normal(3);
    for dimensions in [1, 2, 63, 64, 65, 384, 1000, 1536, 16_000] {
        let vector: Vec<f32> = (0..dimensions).map(|_| number()).collect();
        let query: Vec<f32> = (0..dimensions).map(|_| number()).collect();
        for count in [1, 50] {
            let list = list_of(&vec![vector.clone(); count]);
            let page = Page::parse(&list.pages[0]).unwrap();
            for (query, expected) in [(&query, cosine(&query, &vector)), (&vector, 1.0)] {
                let list_query = Query::new(query).unwrap().against(&list.centroid).unwrap();
                let estimate = list_query.estimate(&page, 0).unwrap();
                assert!(
                    (f64::from(estimate.similarity) - expected).abs() < 1e-6,
                    "{dimensions} {count}"
                );
                assert_eq!(estimate.error, 0.0);
                assert!((f64::from(list_query.mean()) - expected).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn pages_fit_into_a_row() {
    for dimensions in [1, 64, 384, 768, 1024, 1536, 3072, 16_000] {
        let list = list_of(&vec![vec![1.0; dimensions]; 300]);
        let pages: Vec<Page> = list.pages.iter().map(|page| Page::parse(page).unwrap()).collect();
        let ids: Vec<usize> = pages.iter().flat_map(|page| page.ids()).map(number).collect();
        assert_eq!(ids, (0..300).collect::<Vec<_>>());
        assert!(pages.iter().all(|page| page.dimensions() == dimensions));
        let (last, full) = list.pages.split_last().unwrap();
        let code = full[0].len() / pages[0].len();
        assert!(
            full.iter()
                .all(|page| (PAGE_BYTES - code..=PAGE_BYTES).contains(&page.len())),
            "{dimensions}"
        );
        assert!(last.len() <= PAGE_BYTES);
    }
    let full = list_of(&vec![vec![1.0; 384]; 36]);
    assert_eq!(
        full.pages.iter().map(Vec::len).collect::<Vec<_>>(),
        [8 + 36 * 220]
    );
}

#[test]
fn short_codes_and_short_lists_have_more_bits() {
    let bits = |dimensions, count| Resolution::of(dimensions, count).bits;
    let of_long_lists =
        [384, 512, 768, 1024, 1536, 3072, 16_000].map(|dimensions| bits(dimensions, usize::MAX));
    assert_eq!(of_long_lists, [4, 4, 2, 2, 1, 1, 1]);
    let of_lists = [1_000, 1_365, 1_366, 2_730, 2_731].map(|count| bits(1536, count));
    assert_eq!(of_lists, [4, 4, 2, 2, 1]);
    assert_eq!(
        [2048, 4096, 8192, 16_000].map(|dimensions| bits(dimensions, 1)),
        [4, 2, 1, 1]
    );
}

#[test]
fn vectors_without_a_direction_are_refused() {
    let good = [1.0, -2.0, 0.5];
    let mut mean = Mean::new(3).unwrap();
    assert!(mean.add(&good));
    let centroid = mean.centroid(1);
    let mut encoder = Encoder::new(&centroid);
    let bad: [&[f32]; 8] = [
        &[],
        &[0.0; 3],
        &[0.0, -0.0, 0.0],
        &[1.0, f32::NAN, 0.0],
        &[f32::INFINITY, 0.0, 0.0],
        &[1.0, f32::NEG_INFINITY, f32::INFINITY],
        &[1.0; 2],
        &[1.0; 4],
    ];
    for vector in bad {
        assert!(!mean.add(vector));
        assert!(!encoder.push(id(0), vector));
        let query = Query::new(vector);
        assert!(query.is_none_or(|query| query.against(&centroid.to_bytes()).is_none()));
        assert!(build_list(&[id(0), id(1)], &[&good, vector]).is_none());
    }
    assert_eq!(mean.centroid(1), centroid);
    assert!(encoder.finish().is_empty());
    assert!(build_list(&[], &[]).is_none());
    assert!(build_list(&[id(0), id(1)], &[&good]).is_none());
    for dimensions in [0, MAX_DIMENSIONS + 1] {
        assert!(Mean::new(dimensions).is_none());
        assert!(Query::new(&vec![1.0; dimensions]).is_none());
        assert!(build_list(&[id(0)], &[&vec![1.0; dimensions]]).is_none());
    }
}

#[test]
fn only_the_direction_of_a_vector_counts() {
    let vectors: Vec<Vec<f32>> = kinds(300, 40).remove(0).1;
    let scaled = |factor: f32| -> Vec<Vec<f32>> {
        vectors
            .iter()
            .map(|vector| vector.iter().map(|number| number * factor).collect())
            .collect()
    };
    let list = list_of(&vectors);
    // Powers of two change no digit. The others are near the ends of what a number can be.
    for factor in [0.5, 1024.0, 2f32.powi(120), 2f32.powi(-120)] {
        assert!(list_of(&scaled(factor)) == list, "{factor}");
    }
    assert!(Query::new(&[f32::MAX; 2000]).is_some());
    assert!(Query::new(&[f32::MIN_POSITIVE / 1000.0; 2000]).is_some());
}

/// The estimate as the documentation has it, from the bytes as they are documented, with the query's numbers unrounded.
fn expected(list: &List, page: &[u8], place: usize, query: &[f32]) -> f64 {
    let float = |bytes: &[u8]| f64::from(f32::from_le_bytes(*bytes.first_chunk().unwrap()));
    let (bits, count) = (
        usize::from(page[1]),
        usize::from(page[4]) + 256 * usize::from(page[5]),
    );
    let mean: Vec<f64> = list.centroid[4..].chunks(4).map(float).collect();
    let mut rotated = unit(query).unwrap();
    Rotation::new(rotated.len()).apply(&mut rotated);
    let query: Vec<f64> = rotated.iter().map(|&number| f64::from(number)).collect();
    let dot = |left: &[f64], right: &[f64]| {
        left.iter()
            .zip(right)
            .map(|(left, right)| left * right)
            .sum::<f64>()
    };
    let along = dot(&query, &mean) / dot(&mean, &mean);
    let rest: Vec<f64> = query
        .iter()
        .zip(&mean)
        .map(|(number, mean)| number - along * mean)
        .collect();
    let plane_bytes = query.len() / 8;
    let code = &page[8 + place * bits * plane_bytes..][..bits * plane_bytes];
    let bit = |plane: usize, place: usize| code[plane * plane_bytes + place / 8] >> (place % 8) & 1;
    let middle = f64::from((1 << bits) - 1) / 2.0;
    let levels: Vec<f64> = (0..query.len())
        .map(|place| {
            (0..bits)
                .map(|plane| f64::from(bit(plane, place) << plane))
                .sum::<f64>()
                - middle
        })
        .collect();
    let factors = &page[8 + count * bits * plane_bytes..];
    let factor = |which: usize| float(&factors[4 * (which * count + place)..]);
    dot(&query, &mean) + along * factor(0) + factor(1) * dot(&rest, &levels)
}

fn ids_of(ranked: Ranked) -> Vec<usize> {
    ranked
        .candidates
        .iter()
        .map(|candidate| number(&candidate.id))
        .collect()
}

fn vectors_and_query() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<f32>)> {
    (1usize..1300).prop_flat_map(|dimensions| {
        let vector = prop::collection::vec(-1f32..1.0, dimensions)
            .prop_filter("a direction", |vector| unit(vector).is_some());
        (prop::collection::vec(vector.clone(), 1..90), vector)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_estimate_is_what_the_documented_bytes_say((vectors, query) in vectors_and_query()) {
        let list = list_of(&vectors);
        let list_query = Query::new(&query).unwrap().against(&list.centroid).unwrap();
        for bytes in &list.pages {
            let page = Page::parse(bytes).unwrap();
            for place in 0..page.len() {
                let estimate = list_query.estimate(&page, place).unwrap();
                // The query's rounding is a part of the error.
                let most = 6.0 * f64::from(estimate.error) + 1e-5;
                let wrong = f64::from(estimate.similarity) - expected(&list, bytes, place, &query);
                prop_assert!(wrong.abs() <= most, "{wrong} {most}");
            }
            prop_assert_eq!(list_query.estimate(&page, page.len()), None);
        }
    }

    #[test]
    fn a_scan_offers_what_is_wanted((vectors, query) in vectors_and_query(), depth in 0usize..20, every in 1usize..4) {
        let list = list_of(&vectors);
        let list_query = Query::new(&query).unwrap().against(&list.centroid).unwrap();
        let wanted: HashSet<Id> = (0..vectors.len()).step_by(every).map(id).collect();
        let (mut scanned, mut offered) = (Candidates::new(depth), Candidates::new(depth));
        for page in &list.pages {
            let page = Page::parse(page).unwrap();
            prop_assert!(list_query.scan(&page, &mut scanned, |id| wanted.contains(id)));
            for (place, id) in page.ids().iter().enumerate().filter(|(_, id)| wanted.contains(*id)) {
                offered.offer(*id, list_query.estimate(&page, place).unwrap());
            }
        }
        prop_assert_eq!(ids_of(scanned.finish()), ids_of(offered.finish()));
    }

    #[test]
    fn no_bytes_do_harm(
        (vectors, query) in vectors_and_query(),
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        length in any::<prop::sample::Index>(),
    ) {
        let List { mut centroid, mut pages } = list_of(&vectors);
        let whole = Query::new(&query).unwrap().against(&centroid).unwrap();
        prop_assert!(Page::parse(&garbage).is_none_or(|page| page.len() * 36 <= garbage.len()));
        prop_assert!(Page::parse(&pages[0][..length.index(pages[0].len())]).is_none());
        prop_assert!(Centroid::parse(&centroid[..length.index(centroid.len())]).is_none());
        prop_assert!(Centroid::parse(&[&centroid[..], &[0; 4]].concat()).is_none());
        for (place, byte) in &changes {
            let (place, of_centroid) = (place.index(pages[0].len()), place.index(centroid.len()));
            pages[0][place] = *byte;
            centroid[of_centroid] = *byte;
        }
        let page = Page::parse(&pages[0]);
        for list_query in Query::new(&query).unwrap().against(&centroid).iter().chain([&whole]) {
            if let Some(page) = &page {
                let mut candidates = Candidates::new(5);
                list_query.scan(page, &mut candidates, |_| true);
                let ranked = candidates.finish();
                prop_assert!(ranked.candidates.iter().all(|candidate| candidate.upper.is_finite()));
                prop_assert!(!ranked.floor.is_nan());
            }
        }
    }
}

#[test]
fn pages_of_another_kind_are_not_compared() {
    let [of_64, of_65] = [64, 65].map(|dimensions| list_of(&vec![vec![1.0; dimensions]; 3]));
    let query = Query::new(&[1.0; 64]).unwrap();
    assert!(query.against(&of_65.centroid).is_none());
    let list_query = query.against(&of_64.centroid).unwrap();
    let mut candidates = Candidates::new(1);
    let page = Page::parse(&of_65.pages[0]).unwrap();
    assert!(!list_query.scan(&page, &mut candidates, |_| true));
    assert_eq!(list_query.estimate(&page, 0), None);
    // The layout of fewer bits, under a version and with a length that are right.
    let mut bytes = of_64.pages[0].clone();
    bytes[1] = 1;
    bytes.drain(8..8 + 3 * 24);
    let page = Page::parse(&bytes).unwrap();
    assert!(!list_query.scan(&page, &mut candidates, |_| true));
    assert!(candidates.finish().candidates.is_empty());
    let mut next_version = of_64.pages[0].clone();
    next_version[0] += 1;
    assert!(Page::parse(&next_version).is_none());
}
