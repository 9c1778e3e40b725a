//! Catalog files. An input is the file.

use spawnpoint::app::catalog::file::Catalog;

/// A file without a fault says the same once it is exported; one with faults names them.
pub fn run(data: &[u8]) -> &'static str {
    let Ok(text) = str::from_utf8(data) else {
        return "no text";
    };
    let outcome = Catalog::parse(text);
    assert_eq!(outcome, Catalog::parse(text));
    match outcome {
        Ok(catalog) => {
            let exported = catalog.to_string();
            let again = Catalog::parse(&exported);
            assert_eq!(again.as_ref(), Ok(&catalog), "{exported}");
            assert_eq!(again.unwrap().to_string(), exported);
            "taken"
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(!fault.problem.is_empty(), "{fault}");
            }
            "refused"
        }
    }
}
