//! What must hold of an audit log, whoever wrote it: it is answered, twice the same, and a sound one stays sound only as it is.

use std::io::Cursor;

use portcullis::audit::verify::{Report, Witnesses, check_proof, verify_stream};

/// Any bytes as a log, and as a proof.
pub fn audit_reader(data: &[u8]) {
    let report = verified(data.to_vec());
    assert_eq!(report, verified(data.to_vec()), "verifying is not deterministic");
    assert_eq!(report.sound, report.first_bad.is_none());
    if let Some(bad) = &report.first_bad {
        assert!(!bad.to_string().chars().any(char::is_control), "{bad}");
        assert!(bad.offset <= data.len() as u64 && bad.line >= 1, "{bad}");
    } else {
        assert_eq!(report.bytes, data.len() as u64);
        // Whatever follows a sound log is no part of it.
        assert!(!verified([data, b"x"].concat()).sound);
        assert!(!verified([data, data].concat()).sound);
    }
    assert!(check_proof(data, &[]).is_err(), "proven without a key");
}

fn verified(data: Vec<u8>) -> Report {
    verify_stream("log", Cursor::new(data), &Witnesses::default()).expect("memory is always readable")
}
