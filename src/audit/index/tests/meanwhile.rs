//! A log that changes while it is read.

use super::*;

/// A file is compressed, or deleted, between the look at the directory and the look into the file.
#[test]
fn a_file_that_goes_meanwhile_is_looked_for_again() {
    for indexed in [true, false] {
        let mut model = Model::new(31);
        model.rotate(Form::Sealed, 0);
        model.rotate(Form::Sealed, 0);
        let lines = model.lines();
        if !indexed {
            fs::write(model.dir.join(DIR), "").unwrap();
        }
        let (mut index, _) = Index::open(&model.dir).unwrap();
        let (all, _) = index.find(&Filter::default(), Cursor::default(), 1_000).unwrap();
        let places: Vec<Place> = all.iter().map(|(_, place)| *place).collect();
        model.compress();
        let (again, _) = index.find(&Filter::default(), Cursor::default(), 1_000).unwrap();
        assert_eq!(again, all);
        let read = index.lines(&places).unwrap();
        let numbered: Vec<&str> = lines.iter().filter(|line| seq_of(line) > 0).map(|line| line.trim_end()).collect();
        assert_eq!(read.iter().map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>(), numbered);
        // The files were found, and one was compressed before it was opened for its rows.
        index.parts = parts(find(&model.dir).unwrap());
        model.compress();
        let _ = fs::remove_file(model.dir.join(DIR).join(index.parts[1].rows_name()));
        if indexed {
            let refreshed = index.update().map_err(|_| "fails").unwrap();
            assert!(refreshed.lines > 0);
        }
        assert_eq!(index.find(&Filter::default(), Cursor::default(), 1_000).unwrap().0, all);
        // And one was deleted.
        index.parts = parts(find(&model.dir).unwrap());
        let gone = index.parts[0].segment.path.clone();
        fs::remove_file(&gone).unwrap();
        let _ = fs::remove_file(model.dir.join(DIR).join(index.parts[0].rows_name()));
        if indexed {
            assert!(matches!(index.update(), Err(Trouble::Log(error)) if error.1), "it is known to be gone");
        }
        let read = index.lines(&places).unwrap();
        assert!(read.first().unwrap().is_empty() && !read.last().unwrap().is_empty(), "what is gone is empty");
        let (left, _) = index.find(&Filter::default(), Cursor::default(), 1_000).unwrap();
        assert!(!left.is_empty() && left.len() < all.len());
        index.refresh().unwrap();
    }
}
