use std::io::Write;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use liblzma::stream::{Check, Filters, LzmaOptions};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::worker::Job;
use super::*;

const FORMATS: [Compression; 4] =
    [Compression::Gzip, Compression::Zstd, Compression::Bzip2, Compression::Xz];

/// Lines that compress about as well as those of real files.
pub(super) fn lines(length: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = Vec::with_capacity(length + 100);
    while bytes.len() < length {
        let (a, b): (u32, u8) = (rng.random(), rng.random());
        writeln!(bytes, "{},2024-01-{:02} 12:{:02}:00,{}.5,N", b % 3, a % 30, b % 60, a % 1000)
            .expect("a vector takes all");
    }
    bytes.truncate(length);
    bytes
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn compress(format: Compression, content: &[u8]) -> Vec<u8> {
    match format {
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Compression::Zstd => zstd_frame(content, 1, false),
        Compression::Bzip2 => {
            let mut writer =
                ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
            writer.write_all(content).unwrap();
            writer.finish().unwrap()
        }
        Compression::Xz => xz_stream(content, usize::MAX),
    }
}

fn zstd_frame(content: &[u8], level: i32, tells_size: bool) -> Vec<u8> {
    let mut writer = ::zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
    writer.include_checksum(true).unwrap();
    if tells_size {
        writer.set_pledged_src_size(Some(content.len() as u64)).unwrap();
    }
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// A stream of blocks that hold `block_bytes` each.
pub(super) fn xz_stream(content: &[u8], block_bytes: usize) -> Vec<u8> {
    use liblzma::stream::{Action, Status, Stream};
    let mut options = LzmaOptions::new_preset(0).unwrap();
    options.dict_size(1 << 16);
    let mut encoder =
        Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32).unwrap();
    let mut bytes = Vec::with_capacity(content.len() + content.len() / 2 + 4096);
    let mut pieces = content.chunks(block_bytes).peekable();
    while let Some(piece) = pieces.next() {
        let is_last = pieces.peek().is_none();
        let action = if is_last { Action::Run } else { Action::FullFlush };
        let start = encoder.total_in();
        loop {
            let rest = &piece[(encoder.total_in() - start) as usize..];
            let status = encoder.process_vec(rest, &mut bytes, action).unwrap();
            if status == Status::StreamEnd || (is_last && rest.is_empty()) {
                break;
            }
        }
    }
    while encoder.process_vec(&[], &mut bytes, Action::Finish).unwrap() != Status::StreamEnd {}
    bytes
}

/// A member of up to 64 KiB with its size in the header.
fn bgzf_member(content: &[u8]) -> Vec<u8> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(content).unwrap();
    let body = deflate.finish().unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(content);
    let mut member = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0, b'B', b'C', 2, 0];
    member.extend((18 + body.len() as u16 + 8 - 1).to_le_bytes());
    member.extend(body);
    member.extend(crc.sum().to_le_bytes());
    member.extend((content.len() as u32).to_le_bytes());
    member
}

fn bgzf(content: &[u8]) -> Vec<u8> {
    let mut file: Vec<u8> = content.chunks(60_000).flat_map(bgzf_member).collect();
    file.extend(bgzf_member(&[]));
    file
}

/// Files of the same content that are made of one part and of many, by name.
fn files(format: Compression, content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let parts = |bytes: usize| -> Vec<u8> {
        content.chunks(bytes).flat_map(|piece| compress(format, piece)).collect()
    };
    let mut files = vec![
        ("one part", compress(format, content)),
        ("small parts", parts(content.len() / 100 + 1)),
        ("large parts", parts(content.len() / 4 + 1)),
    ];
    if content.is_empty() {
        files.truncate(1);
    }
    match format {
        Compression::Gzip => files.push(("BGZF", bgzf(content))),
        Compression::Zstd => {
            files.push(("a large window", zstd_frame(content, 10, true)));
            let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
            let frame = zstd_frame(content, 3, true);
            files.push((
                "between skippable frames",
                [&skippable[..], &skippable, &frame, &skippable].concat(),
            ));
        }
        Compression::Bzip2 => {}
        Compression::Xz => {
            files.push(("one stream of blocks", xz_stream(content, content.len() / 9 + 1)));
            let padded = [
                &xz_stream(&content[..content.len() / 2], 10_000)[..],
                &[0; 8],
                &xz_stream(&content[content.len() / 2..], 200_000),
                &[0; 4],
            ];
            files.push(("padded streams of blocks", padded.concat()));
        }
    }
    files
}

pub(super) fn temporary(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn open(file: &[u8], format: Compression, threads: usize, block_bytes: usize) -> Blocks {
    Blocks::open(temporary(file), format, threads, block_bytes, 0).unwrap()
}

/// What comes out before the end or an error.
pub(super) fn decompress(
    file: &[u8],
    format: Compression,
    threads: usize,
    block_bytes: usize,
) -> (Vec<u8>, io::Result<()>) {
    let mut blocks = open(file, format, threads, block_bytes);
    let mut bytes = Vec::new();
    let result = loop {
        match block_on(blocks.next()) {
            Ok(Some(block)) => {
                assert!(!block.is_empty() && block.len() <= block_bytes);
                bytes.extend_from_slice(&block);
                blocks.recycle(block);
            }
            Ok(None) => break Ok(()),
            Err(err) => break Err(err),
        }
        assert!(blocks.compressed_bytes() <= file.len() as u64);
    };
    (bytes, result)
}

#[track_caller]
fn assert_same(file: &[u8], format: Compression, threads: usize, block: usize, content: &[u8]) {
    let (bytes, result) = decompress(file, format, threads, block);
    result.unwrap();
    assert!(bytes == content, "{} bytes instead of {}", bytes.len(), content.len());
}

#[test]
fn files_of_any_size_and_make_up_are_decompressed() {
    let block = 100_000;
    for length in [0, 1, 99_999, 100_000, 100_001, 1_000_000] {
        let content = lines(length, 1);
        for format in FORMATS {
            for (name, file) in files(format, &content) {
                for threads in 1..=4 {
                    println!("{format:?}, {length} bytes, {name}, {threads} threads");
                    assert_same(&file, format, threads, block, &content);
                }
            }
        }
    }
}

#[test]
fn files_of_many_parts_are_cut() {
    let content = lines(2_000_000, 15);
    for format in FORMATS {
        for (name, file) in files(format, &content) {
            let source = Source::new(temporary(&file)).unwrap();
            let mut cut = format.cut();
            let mut count = 0;
            while let Some((_, end)) = cut.next(&source, 100_000).unwrap() {
                count += 1;
                if end.is_none() {
                    break;
                }
            }
            let is_cut = count >= 3;
            let has_one = matches!(
                (format, name),
                (Compression::Gzip | Compression::Xz, "one part")
                    | (
                        Compression::Zstd,
                        "one part" | "a large window" | "between skippable frames"
                    )
            );
            assert_eq!(is_cut, !has_one, "{format:?}, {name}: {count}");
        }
    }
}

#[test]
fn large_parts_may_wait_where_there_is_room() {
    let content = lines(3_000_000, 16);
    for format in FORMATS {
        for (_, file) in files(format, &content) {
            let mut blocks = Blocks::open(temporary(&file), format, 3, 10_000, 2_000_000).unwrap();
            let mut bytes = Vec::new();
            while let Some(block) = block_on(blocks.next()).unwrap() {
                assert!(blocks.order.held() <= 200);
                bytes.extend(block);
            }
            assert!(bytes == content);
        }
    }
}

#[test]
fn large_files_are_decompressed() {
    let block = 1 << 20;
    for content in [lines(20 << 20, 2), noise(20 << 20, 3)] {
        for format in [Compression::Gzip, Compression::Zstd] {
            for (name, file) in files(format, &content) {
                println!("{format:?}, {name}");
                assert_same(&file, format, 3, block, &content);
            }
        }
        let content = &content[..3 << 20];
        for format in [Compression::Bzip2, Compression::Xz] {
            for (name, file) in files(format, content) {
                println!("{format:?}, {name}");
                assert_same(&file, format, 3, block, content);
            }
        }
    }
}

/// A block of one byte makes every border a border of blocks.
#[test]
fn blocks_may_be_tiny() {
    let content = lines(3000, 4);
    for format in FORMATS {
        for (_, file) in files(format, &content) {
            for block in [1, 7, 2999, 3000, 3001] {
                assert_same(&file, format, 2, block, &content);
            }
        }
    }
}

#[test]
fn zeros_after_the_end_are_skipped_and_other_bytes_are_errors() {
    let content = lines(200_000, 5);
    for format in FORMATS {
        for (name, mut file) in files(format, &content) {
            let end = file.len();
            println!("{format:?}, {name}");
            for threads in [1, 3] {
                file.extend([0; 512]);
                let (bytes, result) = decompress(&file, format, threads, 50_000);
                assert!(bytes == content);
                // The tool of zstd takes no zeros either.
                assert_eq!(result.is_ok(), format != Compression::Zstd);
                file.truncate(end);
                file.extend(b"more".iter().take(threads));
                let (bytes, result) = decompress(&file, format, threads, 50_000);
                let err = result.unwrap_err();
                assert_eq!(err.kind(), io::ErrorKind::InvalidData);
                assert!(err.to_string().contains("is not") && bytes == content, "{err}");
                file.truncate(end);
            }
        }
    }
}

#[test]
fn other_files_are_refused() {
    for format in FORMATS {
        let (bytes, result) = decompress(&lines(10_000, 6), format, 2, 1000);
        let err = result.unwrap_err();
        assert!(err.to_string().starts_with("the file is not a "), "{err}");
        assert!(bytes.is_empty());
        let (_, result) = decompress(&[], format, 2, 1000);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn a_cut_file_is_an_error_after_what_is_there() {
    let content = lines(400_000, 7);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for format in FORMATS {
        for (name, file) in files(format, &content) {
            // Cuts between members leave a whole file.
            let wholes = match name {
                "small parts" | "large parts" | "BGZF" => true,
                _ => name.contains("skippable") || name.contains("padded"),
            };
            let cuts = (0..40).map(|_| rng.random_range(1..file.len())).collect::<Vec<_>>();
            for cut in cuts.into_iter().chain([1, file.len() - 1]) {
                let threads = rng.random_range(1..=4);
                let (bytes, result) = decompress(&file[..cut], format, threads, 30_000);
                assert!(content.starts_with(&bytes));
                match result {
                    Ok(()) => assert!(wholes, "{format:?}, {name}, cut at {cut}"),
                    Err(err) => {
                        assert!(
                            matches!(
                                err.kind(),
                                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                            ),
                            "{err}"
                        );
                        let says_it = err.to_string().contains("the file was cut");
                        assert_eq!(err.kind() == io::ErrorKind::UnexpectedEof, says_it, "{err}");
                    }
                }
            }
        }
    }
}

#[test]
fn damage_is_an_error_and_never_other_bytes() {
    let content = lines(400_000, 9);
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for format in FORMATS {
        for (name, file) in files(format, &content) {
            for _ in 0..60 {
                let mut file = file.clone();
                let index = rng.random_range(0..file.len());
                file[index] ^= 1 << rng.random_range(0..8);
                let threads = rng.random_range(1..=4);
                let (bytes, result) = decompress(&file, format, threads, 30_000);
                // Blocks of a member are handed out before its checksum is known.
                assert!(
                    result.is_err() || bytes == content,
                    "{format:?}, {name}, byte {index} of {}",
                    file.len()
                );
            }
        }
    }
}

#[test]
fn zeroed_pages_are_errors() {
    let content = lines(3_000_000, 11);
    for format in FORMATS {
        for (name, mut file) in files(format, &content) {
            let middle = file.len() / 2;
            file[middle..middle + 4096].fill(0);
            let (_, result) = decompress(&file, format, 3, 100_000);
            assert!(result.is_err(), "{format:?}, {name}");
        }
    }
}

/// Stored deflate blocks hold whole members, which look like members of the file.
#[test]
fn members_inside_of_members_are_content() {
    let inner = compress(Compression::Gzip, &lines(5000, 12)).repeat(400);
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    writer.write_all(&inner).unwrap();
    let outer = writer.finish().unwrap();
    let file = [&outer[..], &compress(Compression::Gzip, b"and more"), &outer].concat();
    let content = [&inner[..], b"and more", &inner].concat();
    for threads in 1..=4 {
        assert_same(&file, Compression::Gzip, threads, 100_000, &content);
    }
}

/// A BGZF member that tells a wrong size is decoded all the same, as by gzip.
#[test]
fn a_wrong_claim_of_a_size_is_not_believed() {
    let content = lines(1_000_000, 13);
    for wrong in [1, 100, 60_000_u16] {
        let mut file = bgzf(&content);
        let size = u16::from_le_bytes([file[16], file[17]]) ^ wrong;
        file[16..18].copy_from_slice(&size.to_le_bytes());
        for threads in 1..=3 {
            assert_same(&file, Compression::Gzip, threads, 65_536, &content);
        }
    }
}

/// The bits that begin a block stand in the middle of one.
#[test]
fn a_bzip2_block_may_contain_what_begins_one() {
    let content = noise(300_000, 14);
    let file = compress(Compression::Bzip2, &content);
    let source = Source::new(temporary(&file)).unwrap();
    /// Cuts each block in two, as if the bits that begin one stood in its middle.
    #[derive(Default)]
    struct Wrong(bzip2::Segments, Option<bzip2::Segment>);
    impl Cut for Wrong {
        fn next(
            &mut self,
            source: &Source,
            block_bytes: usize,
        ) -> io::Result<Option<(Job, Option<u64>)>> {
            if let Some(rest) = self.1.take() {
                return Ok(Some((Job::Bzip2Block(rest), Some(rest.end))));
            }
            let next = self.0.next(source, block_bytes)?;
            let Some((Job::Bzip2Block(whole), _)) = next else { return Ok(next) };
            let middle = whole.start.midpoint(whole.end);
            self.1 = Some(bzip2::Segment { start: middle, end: whole.end });
            let half = bzip2::Segment { start: whole.start, end: middle };
            Ok(Some((Job::Bzip2Block(half), Some(middle))))
        }

        fn set_to(&mut self, place: u64) {
            self.1 = None;
            self.0.set_to(place);
        }
    }
    let order = Arc::new(Order::new(source, Box::new(Wrong::default()), 2, 100_000, 0));
    worker::spawn(&order).unwrap();
    let mut bytes = Vec::new();
    while let Some(block) = block_on(order.next()).unwrap() {
        bytes.extend(block);
    }
    assert!(bytes == content);
}

#[test]
fn windows_are_bounded() {
    // A frame that demands a window of 256 MiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 1, 0, 0];
    let (_, result) = decompress(&frame, Compression::Zstd, 2, 1000);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    // Windows of 128 and of 192 MiB, as the header of a block of xz gives them.
    let mut stream = xz_stream(b"some content", usize::MAX);
    let header = usize::from(stream[12] + 1) * 4 + 12 - 4;
    assert_eq!(stream[14..16], [0x21, 1]);
    for (window, error) in [(30, None), (31, Some(io::ErrorKind::OutOfMemory))] {
        stream[16] = window;
        let mut crc = flate2::Crc::new();
        crc.update(&stream[12..header]);
        stream[header..header + 4].copy_from_slice(&crc.sum().to_le_bytes());
        let (_, result) = decompress(&stream, Compression::Xz, 2, 1000);
        assert_eq!(result.err().map(|err| err.kind()), error);
    }
    // A single segment of 2^62 bytes.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0];
    let (_, result) = decompress(&frame, Compression::Zstd, 2, 1000);
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn few_blocks_exist_and_a_drop_ends_the_threads() {
    let content = vec![b'x'; 10 << 20];
    for format in FORMATS {
        for (name, file) in files(format, &content) {
            let (threads, block) = (3, 100_000);
            let mut blocks = open(&file, format, threads, block);
            block_on(blocks.next()).unwrap().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert!(blocks.order.held() <= 2 * threads + 2, "{format:?}, {name}");
            let order = Arc::clone(&blocks.order);
            drop(blocks);
            let began = Instant::now();
            while Arc::strong_count(&order) > 1 {
                assert!(began.elapsed() < Duration::from_secs(5), "{format:?}, {name}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn a_panic_is_an_error() {
    struct Panics;
    impl Cut for Panics {
        fn next(
            &mut self,
            _source: &Source,
            _block_bytes: usize,
        ) -> io::Result<Option<(Job, Option<u64>)>> {
            panic!("on purpose")
        }
        fn set_to(&mut self, _place: u64) {}
    }
    let source = Source::new(temporary(b"")).unwrap();
    let order = Arc::new(Order::new(source, Box::new(Panics), 2, 1000, 0));
    worker::spawn(&order).unwrap();
    for _ in 0..2 {
        let err = block_on(order.next()).unwrap_err();
        assert!(err.to_string().ends_with("panicked: on purpose"), "{err}");
    }
}
