//! Every backend of this machine against the scalar one, and the scalar one against examples.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Backend, Index, Irregularity, Marks, Piece, Skip, Stop, guess_start};

const COMMAS: Marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None, comment: None };

fn backends() -> impl Iterator<Item = Backend> {
    Backend::ALL.iter().copied().filter(|backend| backend.is_available())
}

fn whole(bytes: &[u8]) -> Piece<'_> {
    Piece { bytes, from: 0, limit: bytes.len(), at_end: true }
}

/// The fields of all records of `text`, as they are written, with every backend.
fn fields<'a>(text: &'a str, width: usize, marks: &Marks) -> Vec<Vec<&'a str>> {
    let mut indexes = backends().map(|backend| {
        let mut index = Index::default();
        let stop = backend.find(whole(text.as_bytes()), width, marks, &mut index);
        assert_eq!(stop, Stop::Done { next: text.len() }, "{backend:?}: {text:?}");
        (index.starts, index.ends)
    });
    let (starts, ends) = indexes.next().expect("the scalar backend is always there");
    for other in indexes {
        assert_eq!(other, (starts.clone(), ends.clone()), "{text:?}");
    }
    std::iter::zip(starts, ends.chunks(width))
        .map(|(start, ends)| {
            let mut start = start as usize;
            ends.iter()
                .map(|end| {
                    let field = &text[start..*end as usize];
                    start = *end as usize + 1;
                    field
                })
                .collect()
        })
        .collect()
}

/// What every backend finds irregular in `text`.
fn irregularity(text: &str, width: usize, marks: &Marks) -> Stop {
    let mut stops = backends().map(|backend| {
        let mut index = Index::default();
        backend.find(whole(text.as_bytes()), width, marks, &mut index)
    });
    let stop = stops.next().expect("the scalar backend is always there");
    assert!(stops.all(|other| other == stop), "{text:?}");
    stop
}

#[test]
fn quotes_line_ends_and_empty_lines() {
    let text = "a,b\r\n\n\"x, \"\"y\"\"\",\"two\nlines\"\n\r,\rc,\"\"\n5\" pipe,\"\"\"\"";
    let expected = [
        ["a", "b"],
        ["\"x, \"\"y\"\"\"", "\"two\nlines\""],
        ["", ""],
        ["c", "\"\""],
        ["5\" pipe", "\"\"\"\""],
    ];
    assert_eq!(fields(text, 2, &COMMAS), expected);
    assert_eq!(fields("\r\n\n", 2, &COMMAS), Vec::<Vec<&str>>::new());
    assert_eq!(fields("", 1, &COMMAS), Vec::<Vec<&str>>::new());
    assert_eq!(fields("a\n\nb\n", 1, &COMMAS), [["a"], ["b"]]);
}

#[test]
fn escapes_comments_and_no_quotes() {
    let marks = Marks { escape: Some(b'\\'), comment: Some(b'#'), ..COMMAS };
    let text = "# \"a\n\"x\\\",\\\\\",\\\n# b\n#\n\"#\",#\n# c";
    assert_eq!(fields(text, 2, &marks), [["\"x\\\",\\\\\"", "\\"], ["\"#\"", "#"]]);
    let marks = Marks { quote: None, delimiter: b'\t', ..COMMAS };
    assert_eq!(fields("\"a\tb\n\"\t\"", 2, &marks), [["\"a", "b"], ["\"", "\""]]);
}

#[test]
fn irregular_records_say_why() {
    use Irregularity::{Fields, OpenQuote, TextAfterQuote};
    for (text, why, next) in [
        ("a,b\n1\n2,3", Fields(1), 6),
        ("a,b\n1,2,3\r\n\r\n4,5", Fields(3), 13),
        ("a,b\n1,\"2", OpenQuote, 8),
        ("a,b\n\"1\"x\",2\n\"3", TextAfterQuote, 12),
        ("a,b\n\"1\" ,2\n", TextAfterQuote, 11),
    ] {
        assert_eq!(irregularity(text, 2, &COMMAS), Stop::Irregular { from: 4, why, next });
    }
}

#[test]
fn bytes_that_are_not_the_whole_file() {
    for (text, expected) in [
        ("a,b\n1,2", Stop::More { from: 4 }),
        ("a,b\n1,\"2\"", Stop::More { from: 4 }),
        ("a,b\n1,2\n", Stop::Done { next: 8 }),
        ("a,b\n1,2\r", Stop::Done { next: 8 }),
        ("a,b\n\n", Stop::Done { next: 5 }),
    ] {
        for backend in backends() {
            let mut index = Index::default();
            let piece = Piece { at_end: false, ..whole(text.as_bytes()) };
            assert_eq!(backend.find(piece, 2, &COMMAS, &mut index), expected, "{text:?}");
            assert_eq!(&index.ends[..2], [1, 3]);
        }
    }
}

#[test]
fn roles_that_share_a_byte_are_seen() {
    assert!(COMMAS.are_distinct());
    assert!(!Marks { escape: Some(b'"'), ..COMMAS }.are_distinct());
    assert!(!Marks { delimiter: b'\r', ..COMMAS }.are_distinct());
}

/// Bytes most of which mean something. Some texts are nearly regular, so that there are long runs
/// of records, and some are not.
fn nasty(random: &mut ChaCha8Rng, width: usize) -> Vec<u8> {
    let length = random.random_range(0..400);
    let mut text = Vec::with_capacity(length + 16);
    let oddities = *[0, 1, 3, 10, 100].get(random.random_range(0..5)).expect("five");
    while text.len() < length {
        if random.random_range(0..100) < oddities {
            text.push(b"aa,,\"\"\"\n\r\\#\xC3"[random.random_range(0..12)]);
            continue;
        }
        for field in 0..width {
            let body: &[u8] = match random.random_range(0..8) {
                0 => b"",
                1 => b"\"\"",
                2 => b"\"a,\n\"\"\"",
                3 => b"\"\"\"\"",
                4 => b"\"a\\\\\"",
                5 => b"a\xFFb\"",
                6 => b"\"#\r\n#,,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
                _ => b"aa",
            };
            text.extend_from_slice(body);
            if field + 1 < width {
                text.push(b',');
            }
        }
        let ends: [&[u8]; 5] = [b"\n", b"\r\n", b"\n\n", b"\r", b"\n#\"\n"];
        text.extend_from_slice(ends[random.random_range(0..5)]);
    }
    text.truncate(length);
    text
}

fn some_marks(random: &mut ChaCha8Rng) -> Marks {
    Marks {
        delimiter: b',',
        quote: random.random_ratio(9, 10).then_some(b'"'),
        escape: random.random_ratio(1, 3).then_some(b'\\'),
        comment: random.random_ratio(1, 3).then_some(b'#'),
    }
}

#[test]
fn every_backend_agrees_with_the_scalar_one() {
    let mut random = ChaCha8Rng::seed_from_u64(20);
    let mut finished = [0; 3];
    for round in 0..60_000 {
        let width = random.random_range(1..5);
        let marks = some_marks(&mut random);
        let bytes = nasty(&mut random, width);
        let from = if random.random() { 0 } else { random.random_range(0..=bytes.len()) };
        let limit =
            if random.random() { bytes.len() } else { random.random_range(from..=bytes.len()) };
        let piece = Piece { bytes: &bytes, from, limit, at_end: random.random() };
        let mut expected = Index::default();
        let stop = Backend::Scalar.find(piece, width, &marks, &mut expected);
        let skipped = Backend::Scalar.skip(piece, &marks);
        finished[match stop {
            Stop::Done { .. } => 0,
            Stop::More { .. } => 1,
            Stop::Irregular { .. } => 2,
        }] += 1;
        for backend in backends() {
            let context = || {
                format!(
                    "round {round}, {backend:?}, width {width}, {marks:?}, {from}..{limit}, at_end \
                     {}, {:?}",
                    piece.at_end,
                    bytes.escape_ascii().to_string(),
                )
            };
            let mut index = Index::default();
            assert_eq!(backend.find(piece, width, &marks, &mut index), stop, "{}", context());
            assert_eq!(index.starts, expected.starts, "{}", context());
            assert_eq!(index.ends, expected.ends, "{}", context());
            assert!(index.has_quotes || !expected.has_quotes, "{}", context());
            assert!(!index.has_quotes || bytes.contains(&b'"'), "{}", context());
            assert!(index.has_non_ascii || !expected.has_non_ascii, "{}", context());
            assert!(!index.has_non_ascii || !bytes.is_ascii(), "{}", context());
            assert_eq!(backend.skip(piece, &marks), skipped, "{}", context());
        }
    }
    // No way to end is rare enough to have been tested by chance only.
    assert!(finished.iter().all(|count| *count > 3_000), "{finished:?}");
}

/// All records of `bytes`, the irregular ones as their reason, when at first only some of the bytes
/// are there and limits are set anywhere.
fn piecewise(
    random: &mut ChaCha8Rng,
    backend: Backend,
    bytes: &[u8],
    width: usize,
    marks: &Marks,
) -> (Index, Vec<(usize, Irregularity)>) {
    let (mut index, mut irregular) = (Index::default(), Vec::new());
    let (mut from, mut there) = (0, 0);
    loop {
        let at_end = there == bytes.len();
        let piece = Piece { bytes: &bytes[..there], from, limit: there, at_end };
        let limit = if random.random() { there } else { random.random_range(from..=there) };
        let piece = Piece { limit, ..piece };
        let stop = backend.find(piece, width, marks, &mut index);
        match (stop, backend.skip(piece, marks)) {
            (Stop::Done { next }, Skip::Done { next: skipped }) => {
                assert_eq!(next, skipped);
                assert!(next >= limit);
                from = next;
            }
            (Stop::More { from: next }, Skip::More { from: skipped }) => {
                assert_eq!(next, skipped);
                assert!(!at_end);
                from = next;
            }
            (Stop::Irregular { from: at, why, next }, _) => {
                irregular.push((at, why));
                from = next;
            }
            stops => panic!("{stops:?}"),
        }
        if at_end && from == bytes.len() {
            return (index, irregular);
        }
        there = random.random_range(there..=bytes.len());
    }
}

#[test]
fn pieces_make_up_the_whole() {
    let mut random = ChaCha8Rng::seed_from_u64(21);
    for round in 0..5_000 {
        let width = random.random_range(1..5);
        let marks = some_marks(&mut random);
        let bytes = nasty(&mut random, width);
        let (mut expected, mut expected_irregular) = (Index::default(), Vec::new());
        let mut piece = whole(&bytes);
        while let Stop::Irregular { from, why, next } =
            Backend::Scalar.find(piece, width, &marks, &mut expected)
        {
            expected_irregular.push((from, why));
            piece.from = next;
        }
        for backend in backends() {
            let (index, irregular) = piecewise(&mut random, backend, &bytes, width, &marks);
            let context = format!("round {round}, {backend:?}, {marks:?}, {bytes:?}");
            assert_eq!(irregular, expected_irregular, "{context}");
            assert_eq!(index.starts, expected.starts, "{context}");
            assert_eq!(index.ends, expected.ends, "{context}");
        }
    }
}

#[test]
fn the_middle_of_a_file() {
    for (bytes, start) in [
        // Outside quotes.
        ("b,c\nd", Some(4)),
        ("\r\nd", Some(2)),
        (",\"x\ny\"\nd", Some(7)),
        ("\",\",b\nc", Some(6)),
        ("inch 5\" and 6\",b\n\"x\",c\n", Some(17)),
        // Inside quotes.
        ("b\nc\",d\ne", Some(7)),
        ("b\nc\"\"d\"\"\n\",d\ne,\"f\"\n", Some(13)),
        ("\n\",\"d\"\r\n\"e\",\"f\"", Some(8)),
        // No record begins.
        ("b,c", None),
        ("b,c\n", None),
        (",\"b\nc", None),
        ("", None),
    ] {
        assert_eq!(guess_start(bytes.as_bytes(), &COMMAS), start, "{bytes:?}");
    }
    let marks = Marks { quote: None, ..COMMAS };
    assert_eq!(guess_start(b"a\"\n\"b,\"", &marks), Some(3));
}

#[test]
fn guesses_are_nearly_always_right() {
    let mut random = ChaCha8Rng::seed_from_u64(22);
    let words: [&str; 6] =
        ["plain", "\"a, b\"", "\"line\nline\"", "\"the \"\"x\"\"\"", "5\" pipe", ""];
    let text: String = (0..2_000)
        .map(|record| {
            let mut word = || words[random.random_range(0..6)];
            format!("{record},{},{},{}\n", word(), word(), word())
        })
        .collect();
    let mut index = Index::default();
    Backend::Scalar.find(whole(text.as_bytes()), 4, &COMMAS, &mut index);
    assert_eq!(index.starts.len(), 2_000);
    let cuts = 1..text.len() - 1_000;
    let right = cuts.clone().filter(|cut| {
        let next = index.starts.partition_point(|start| (*start as usize) < *cut);
        let bytes = &text.as_bytes()[cut - 1..(cut + 1_000)];
        guess_start(bytes, &COMMAS) == Some(index.starts[next] as usize - (cut - 1))
    });
    let right = right.count();
    assert!(right * 100 > cuts.len() * 98, "{right} of {cuts:?}");
}
