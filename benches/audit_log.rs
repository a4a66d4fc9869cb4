//! What questions about a large log take: `cargo bench --bench audit_log -- 5000000 [DIR]`, the number of records being 200,000 by
//! default. The log is made in DIR (by default a temporary directory), in files of 256 MiB, and removed at the end.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints, and stops at the first surprise"
)]

#[path = "audit_log/records.rs"]
mod records;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use portcullis::audit::index::{Asked, By, Cursor, Filter, Index, Span, stats};
use records::Growing;

const FILE_BYTES: u64 = 256 * 1024 * 1024;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let records: u64 = args.next().map_or(200_000, |records| records.parse().unwrap());
    let temp = match args.next() {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let bytes = make(temp.path(), records);
    println!("log: {records} records, {} MB, {} bytes each", bytes / 1_000_000, bytes / records);
    let (mut index, took) = timed(|| Index::open(temp.path()).unwrap().0);
    println!("index built: {took:.2} s, {:.0} MB/s", bytes as f64 / took / 1e6);
    let size: u64 = fs::read_dir(temp.path().join("index")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    println!("index: {} MB, {} bytes a record", size / 1_000_000, size / records);
    let (_, took) = timed(|| index.refresh().unwrap());
    println!("nothing new: {took:.3} s");
    let asked = Asked { top: 20, ..Asked::default() };
    let (report, took) = timed(|| stats(&mut index, &asked).unwrap());
    assert_eq!(report.records, records);
    println!("stats: {took:.3} s (what to hold for 5,000,000: below 2 s, opening included)");
    let by = Asked { by: vec![By::Principal, By::Reason, By::Hour], ..asked };
    println!("stats --by principal,reason,hour: {:.3} s", timed(|| stats(&mut index, &by).unwrap()).1);
    let filter = Filter { denied: true, span: Span::default(), ..Filter::default() };
    let (found, took) = timed(|| {
        let (found, _) = index.find(&filter, Cursor::default(), 50).unwrap();
        index.lines(&found.iter().map(|(_, place)| *place).collect::<Vec<_>>()).unwrap()
    });
    println!("show --denied: {} found, {took:.3} s", found.len());
    let (_, took) = timed(|| stats(&mut Index::open(temp.path()).unwrap().0, &Asked { top: 20, ..Asked::default() }).unwrap());
    println!("opened and asked again: {took:.3} s");
    println!("memory, peak: {} MB", peak_kib() / 1_024);
}

/// Writes a log; its bytes.
fn make(dir: &Path, records: u64) -> u64 {
    let mut growing = Growing::new(1, 2_000, 300);
    let active = dir.join("audit.jsonl");
    let (mut file, mut first, mut size, mut bytes) = (BufWriter::new(File::create(&active).unwrap()), 1, 0, 0);
    for _ in 0..records {
        let line = growing.line();
        if size + line.len() as u64 > FILE_BYTES {
            file.flush().unwrap();
            fs::rename(&active, dir.join(format!("audit-{first:020}.jsonl"))).unwrap();
            (file, first, size) = (BufWriter::new(File::create(&active).unwrap()), growing.seq, 0);
        }
        file.write_all(line.as_bytes()).unwrap();
        size += line.len() as u64;
        bytes += line.len() as u64;
    }
    file.flush().unwrap();
    bytes
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

/// The most memory this process ever had, as Linux counts it.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
